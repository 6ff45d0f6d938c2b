/*
 * vdit/plan.h - plans: text that says which attention calls are edited, and how. vdit-plan(7) is the grammar.
 *
 *     L44-47 K=self: mask 30%, temperature 0.2
 *     L!44,45: keep sliding tile=4,8,8 window=3,3,3
 *
 * A line is a selector and actions. At each site the lines that select it are applied in their order: actions of
 * different names add up, and of two of one name the later wins whole.
 */
#ifndef VDIT_PLAN_H
#define VDIT_PLAN_H

#include <vdit/attention.h>

typedef struct vdit_plan vdit_plan;

/* Branches of classifier-free guidance, as bits (C03). */
enum { VDIT_BRANCH_COND = 1, VDIT_BRANCH_UNCOND = 2, VDIT_BRANCH_BOTH = 3 };

/* Kinds of attention, as bits. The first three are self-attention. */
enum {
    VDIT_KIND_FULL = 1,     /* over all video tokens, with text tokens in joint attention */
    VDIT_KIND_SPATIAL = 2,  /* within a frame */
    VDIT_KIND_TEMPORAL = 4, /* across frames, at one place */
    VDIT_KIND_CROSS = 8,    /* from video to text */
    VDIT_KIND_SELF = 7,
    VDIT_KIND_ANY = 15
};

/* Where an attention call stands, one head of it. */
typedef struct vdit_site {
    size_t layer, head, step; /* from 0; step 0 has most noise (C07, C08) */
    unsigned branch, kind;    /* one bit of each */
    vdit_tokens tokens;       /* what the edit is to hold */
    size_t keys;              /* Nk */
} vdit_site;

/*
 * Reads a plan. Out: plan, in the run's memory. In: text, size bytes of it (at most 1 MiB, lines of at most 4096).
 * Returns: VDIT_OK; VDIT_ERR_FORMAT with a message that names line, column and what was expected;
 * VDIT_ERR_LIMIT, VDIT_ERR_MEMORY.
 */
VDIT_API vdit_status vdit_plan_parse(vdit_run *run, vdit_plan **plan, const char *text,
                                     size_t size);

/*
 * The files that a plan names, each once, as "FILE" or "FILE:NAME". Whoever runs the plan opens them and hands
 * in the tensors, which must outlive the plan.
 */
VDIT_API size_t vdit_plan_file_count(const vdit_plan *plan);
VDIT_API const char *vdit_plan_file(const vdit_plan *plan, size_t i);
VDIT_API void vdit_plan_bind(vdit_plan *plan, size_t i, const vdit_tensor *tensor);

/*
 * Out: edit, what the plan does at a site, with the site's tokens; off if nothing. It points into the plan and
 * the run's memory. source_q, source_k and source_v of a transfer or a mix are left to the caller.
 * Returns: VDIT_OK; VDIT_ERR_ARGUMENT if a file is not bound, a key does not exist, or lines with different Q meet.
 */
VDIT_API vdit_status vdit_plan_edit(vdit_run *run, const vdit_plan *plan, const vdit_site *site,
                                    vdit_edit *edit);

/* How the gate of a site is found: by what a meter says of this or of all heads. */
typedef enum vdit_gate_kind {
    VDIT_GATE_NUMBER, /* it stands in vdit_edit.gate */
    VDIT_GATE_SINKS,  /* 0 if the head has a sink key at tau (C27 to C31), else 1 */
    VDIT_GATE_RANDOM /* 0 for count heads of the model that have none, drawn with the seed (C32), else 1 */
} vdit_gate_kind;

typedef struct vdit_gate {
    vdit_gate_kind kind;
    double tau;
    size_t count, seed;
} vdit_gate;

/* Returns: how the gate of a site is found. Unless it is a number vdit_plan_edit leaves gate = 1. */
VDIT_API vdit_gate vdit_plan_gate(const vdit_plan *plan, const vdit_site *site);

/*
 * The random control (C32): of the heads of a model that are marked, in the order of layers and then heads, count
 * stay marked, each choice equally likely. The i-th is the place i + floor(w (n - i) / 2^32) of the n marked ones, with
 * which place i changes; w is word 0 of Philox4x32-10 with counter (i, 0, 0, 0) and key (seed, 0).
 * Out: heads[head_count], 1 for marked. Returns: VDIT_OK; VDIT_ERR_ARGUMENT if fewer are marked.
 */
VDIT_API vdit_status vdit_gate_draw(vdit_run *run, unsigned char *heads, size_t head_count,
                                    size_t count, size_t seed);

/*
 * Out: sinks[H], 1 for each head of a call of one batch that has a sink key at tau (C27 to C30), its queries and keys
 * as the meter `sink` takes them by default. In: call, with what its edits do before the softmax; tokens.
 * Returns: VDIT_OK; VDIT_ERR_ARGUMENT for another number of batches; or what vdit_meter_run says.
 */
VDIT_API vdit_status vdit_sinks_find(vdit_run *run, unsigned char *sinks,
                                     const vdit_attention *call, const vdit_tokens *tokens,
                                     double tau);

/*
 * The gates of all heads of one call, those that its map decides with them; the control draws among these heads, with
 * the count and the seed of the first that asks for it. Where there is none of that kind, the map is not looked at.
 * Out: gates[H]: 0 for a head that is skipped, else the gate of its edit. In: site, of head 0 of the call; call, with
 * the plan's edits. Returns: VDIT_OK; VDIT_ERR_ARGUMENT if too few heads have no sink; or what vdit_sinks_find says.
 */
VDIT_API vdit_status vdit_plan_gates(vdit_run *run, double *gates, const vdit_plan *plan,
                                     const vdit_site *site, const vdit_attention *call);

/* Returns: the plan in its canonical form, a line each, presets expanded; reading it gives the same plan. NULL
   without memory. */
VDIT_API char *vdit_plan_text(vdit_run *run, const vdit_plan *plan);

/*
 * Out: site->layer, step, branch and kind from a text such as "L44 S0 B=c K=cross"; what is not named stays.
 * Returns: VDIT_OK or VDIT_ERR_FORMAT.
 */
VDIT_API vdit_status vdit_site_parse(vdit_run *run, vdit_site *site, const char *text);

/*
 * Returns: how often the logits of a head are computed to apply an edit, its report and the few rows that need more
 * precision left aside. The plain call computes them once.
 */
VDIT_API int vdit_edit_passes(const vdit_edit *edit);

/* Returns: what an edit does, step by step in the order of application, as one line in the run's memory. */
VDIT_API char *vdit_edit_order(vdit_run *run, const vdit_edit *edit);

#endif
