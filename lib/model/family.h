/* model/family.h - what a family of networks brings: its configuration, its forward pass, its facts. */
#ifndef VDIT_MODEL_FAMILY_H
#define VDIT_MODEL_FAMILY_H

#include <vdit/model.h>
#include "model/config.h"
#include "model/convert.h"
#include "model/net.h"

/* A configuration under a name, for vdit-model init: "tiny", "1.3B". */
typedef struct vdit_preset {
    const char *name;
    const char *json; /* an object: the keys that differ from the constructor's defaults */
} vdit_preset;

typedef struct vdit_network {
    const char *name;           /* "wan" */
    const char *class_name;     /* "WanTransformer3DModel" */
    const char *about;          /* one line */
    const vdit_preset *presets; /* ends with a name of NULL; the first is tiny */
    size_t config_size;
    /* Reads and checks the keys. Out: config[config_size], cleared before. A fault fails the run. */
    void (*configure)(vdit_config *keys, void *config);
    /* Out: shapes and usual dtypes of a call's tensors; rank 0 where there is none; fails the run where the extents do
       not fit (not a multiple of the patch, beyond the tables). */
    void (*inputs)(vdit_run *run, const void *config, const vdit_extents *extents,
                   vdit_model_inputs *inputs);
    /* Returns: the extents of a call whose latents have five axes and whose text has three. */
    vdit_extents (*extents)(const vdit_forward *call);
    /* The smallest extents that the network takes. */
    vdit_extents (*smallest)(const void *config);
    /* The network. Returns: its output, of the shape that inputs says. */
    vdit_tensor (*forward)(vdit_net *net, const void *config);
    /* How the original repository's checkpoint becomes this one; ends with from NULL. NULL: no layout is known. */
    const vdit_convert_rule *original;
    /* Returns: 1 if the original keeps this weight in f32 when it is loaded in half precision. */
    int (*keeps_single)(const char *weight);
} vdit_network;

extern const vdit_network vdit_network_wan, vdit_network_mochi, vdit_network_hunyuan,
    vdit_network_cogvideox;

/* The rules of their original layouts. */
extern const vdit_convert_rule vdit_wan_original[], vdit_mochi_original[], vdit_hunyuan_original[],
    vdit_cogvideox_original[];

/* Returns: the i-th family (a family of inputs has that name in golden), or NULL past the last. */
const vdit_network *vdit_network_at(size_t i);

/* What a model is made of. */
struct vdit_model {
    vdit_run *memory; /* owns all below and this struct */
    const vdit_network *family;
    void *config;
    const char *effective; /* the configuration, every key of it, as JSON */
    const char *path;      /* for messages */
    vdit_file *weights;    /* NULL: configured only */
};

/* Checks the tensors of a call against its model. Out: extents. Returns: VDIT_OK or the failure. */
vdit_status vdit_forward_check(vdit_run *run, const vdit_model *model, const vdit_forward *call,
                               vdit_extents *extents);

#endif
