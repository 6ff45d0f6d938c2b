/*
 * vdit/meter.h - statistics of the map of one attention call, streamed: no map is stored.
 *
 * Formulas, shapes and definition ids of every meter are in vdit-meters(7); how they are rounded, in
 * doc/numerics.md, section 7. What a meter reports of a row (an entropy, a mass) is a real number rounded once to
 * f32; what it reports of a head is made from those numbers and rounded once again; counts are exact. So every
 * figure is a fact, equal on every machine.
 *
 * Meters read the softmax map of the call, with what its edits do before the softmax (operands of a source call,
 * temperature, sets of keys, masks there) and without what they do after it.
 */
#ifndef VDIT_METER_H
#define VDIT_METER_H

#include <vdit/attention.h>
#include <vdit/edit.h>

/* What a meter cannot do without, as bits. */
enum {
    VDIT_METER_TOKENS = 1, /* request.tokens: frames, height and width */
    VDIT_METER_TEXT = 2    /* and text keys */
};

/* One option of a meter, and its value if none is given. A list of them ends with a name of NULL. */
typedef struct vdit_meter_option {
    const char *name, *value, *about;
} vdit_meter_option;

/*
 * One result of a meter. A list of them ends with a name of NULL. shape has a letter for each axis:
 * B batch, H heads, R rows of the call, K keys, T text tokens, F frames; the others are the meter's own, as its
 * text says.
 */
typedef struct vdit_meter_output {
    const char *name; /* without the meter's: "row" of "entropy.row"; "" of "entropy" itself */
    vdit_dtype dtype;
    const char *shape;
    const char *about; /* what and in which unit */
} vdit_meter_output;

typedef struct vdit_meter_info {
    const char *name, *about;
    const char
        *ids; /* what of the definitions register is in force: "C39=row/ln(valid),C40=exact0" */
    int passes; /* over the keys: 1 if the sums of a row suffice, 2 if its entries are looked at, 3 if it makes
                   its own */
    unsigned needs; /* VDIT_METER_... */
    const vdit_meter_option *options;
    const vdit_meter_output *outputs;
} vdit_meter_info;

/* Returns: the i-th meter, or NULL past the last. */
VDIT_API const vdit_meter_info *vdit_meter_at(size_t i);

/* What is asked for. */
typedef struct vdit_meter_request {
    size_t size;        /* of this struct, set by init */
    const char *meters; /* names with options: "entropy,topk:k=4:every=64,ladder:queries=all" */
    vdit_tokens tokens; /* what the tokens are; all 0: not declared, each counts as video */
    const vdit_tensor *other_q, *other_k; /* NULL, or the call that similarity compares with */
} vdit_meter_request;

/* One tensor of the answer. */
typedef struct vdit_meter_result {
    const char *meter, *name; /* "entropy", "entropy.row" */
    const char *ids;    /* the meter's ids, and its options in force: "C28=video,queries=video" */
    vdit_tensor tensor; /* dense */
} vdit_meter_result;

typedef struct vdit_meter_results {
    size_t count;
    vdit_meter_result *list;
} vdit_meter_results;

/* Out: request, cleared, asking for meters. */
VDIT_API void vdit_meter_request_init(vdit_meter_request *request, const char *meters);

/*
 * Reads all meters of the request in one run over the call's blocks of rows; o, lse, map and sigma of the call are
 * not written. Out: results, in the run's memory, in the order of the request; untouched on failure.
 * In: call; request. Returns: VDIT_OK, VDIT_ERR_ARGUMENT for an unknown meter, option or value, VDIT_ERR_SHAPE where
 * tokens do not fit the call, or what the call's check says.
 */
VDIT_API vdit_status vdit_meter_run(vdit_run *run, const vdit_attention *call,
                                    const vdit_meter_request *request, vdit_meter_results *results);

/*
 * Out: cost of that: the results' bytes are among cost->bytes. In: a call that was checked.
 * Returns: VDIT_OK, or what vdit_meter_run would say of the request.
 */
VDIT_API vdit_status vdit_meter_estimate(vdit_attention_cost *cost, vdit_run *run,
                                         const vdit_attention *call,
                                         const vdit_meter_request *request);

/* Returns: the tensor of that name ("entropy.row"), or NULL. */
VDIT_API const vdit_tensor *vdit_meter_find(const vdit_meter_results *results, const char *name);

#endif
