/*
 * vdit/golden.h - recipes, input families, contracts, and corpora of golden outputs.
 *
 * A recipe (vdit-recipe(5)) lists cases. A case says everything: operator, shapes, dtype, input
 * family, seed. Its inputs and its reference outputs are facts that any machine can regenerate bit
 * for bit. A corpus (vdit-corpus(5)) is a folder with the tensors of the cases and a manifest with
 * their SHA-256 sums.
 *
 *     vdit_recipe_load(run, &recipe, "attention.json");
 *     vdit_golden_generate(run, &golden, &recipe.cases[0]);
 *     vdit_golden_compute(run, &golden);
 *     o = vdit_golden_find(&golden, "o");
 *
 * What a function makes (cases, names, tensors) belongs to the run and dies with its scope.
 */
#ifndef VDIT_GOLDEN_H
#define VDIT_GOLDEN_H

#include <vdit/backend.h>
#include <vdit/edit.h>
#include <vdit/file.h>
#include <vdit/model.h>

typedef enum vdit_operator {
    VDIT_OP_ATTENTION, /* q, k, v [, mask, key_length, rows, those of a plan] -> o, lse, o.sigma [, reports,
                          meters]: vdit-corpus(5) */
    VDIT_OP_LINEAR,     /* x, w [, b] -> y, y.sigma */
    VDIT_OP_MATMUL,     /* a, b -> c, c.sigma */
    VDIT_OP_EXP,        /* x -> y, y.sigma */
    VDIT_OP_LOG,        /* x -> y, y.sigma */
    VDIT_OP_CONV,       /* x, w, b -> y, y.sigma: a patch embedding */
    VDIT_OP_ADD,        /* x, z -> y, y.sigma */
    VDIT_OP_MODULATE,   /* x, scale, shift -> y, y.sigma */
    VDIT_OP_GATED_ADD,  /* x, gate, z -> y, y.sigma */
    VDIT_OP_LAYER_NORM, /* x, w, b -> y, y.sigma; norms have eps 1e-6 */
    VDIT_OP_RMS_NORM,   /* x, w -> y, y.sigma */
    VDIT_OP_GROUP_NORM, /* x, w, b -> y, y.sigma; two groups */
    VDIT_OP_ROTARY,     /* x, cosine, sine -> y, y.sigma */
    VDIT_OP_SIGMOID,    /* x -> y, y.sigma, and so the others */
    VDIT_OP_TANH,
    VDIT_OP_SILU,
    VDIT_OP_GELU,
    VDIT_OP_GELU_TANH,
    VDIT_OP_QUICK_GELU,
    VDIT_OP_SOFTPLUS,
    VDIT_OP_SWIGLU, /* the gated unit of silu */
    VDIT_OP_GEGLU   /* that of gelu */
} vdit_operator;

#define VDIT_OPERATOR_COUNT 22

/* Returns: "attention", "linear", "matmul", "exp", "log", "conv", ...: the name of its function in vdit/op.h, "silu", ... */
VDIT_API const char *vdit_operator_name(vdit_operator op);

/* Out: op. In: a name as above. Returns: 1 if known, else 0 with op untouched. */
VDIT_API int vdit_operator_find(vdit_operator *op, const char *name);

/* What a backend promises, and the noise that an honest one commits (vdit-corpus(5), CONTRACTS). */
typedef struct vdit_contract {
    const char *name;  /* "exact", "f32", "tf32", "bf16/f32acc", ... */
    const char *about; /* one line */
    vdit_noise noise;  /* all 0 for "exact": no error is allowed */
    unsigned dtypes;   /* of outputs that can be held to it, as bits 1 << dtype */
} vdit_contract;

/* Returns: the i-th contract, from the strictest on, or NULL past the last. */
VDIT_API const vdit_contract *vdit_contract_at(size_t i);

/* Returns: the contract of that name, or NULL. */
VDIT_API const vdit_contract *vdit_contract_find(const char *name);

/* Returns: 1 if outputs of that dtype can be held to the contract: it rounds no coarser or finer. */
VDIT_API int vdit_contract_fits(const vdit_contract *contract, vdit_dtype dtype);

/* Returns: the contract that a case of this dtype gets by default (f32, bf16 and f16 only). */
VDIT_API const vdit_contract *vdit_contract_default(vdit_dtype dtype);

/* Returns: the noise of attention over that many keys: sums grow, and their roundings with them. */
VDIT_API vdit_noise vdit_contract_noise(const vdit_contract *contract, size_t keys);

/* A way to make inputs; the formulas are in vdit-recipe(5). */
typedef struct vdit_family {
    const char *name;  /* "normal", "needle", ... */
    const char *about; /* what it detects, one line */
    unsigned ops;      /* bit 1 << op is set for each operator that it can feed */
} vdit_family;

/* Returns: the i-th family, or NULL past the last. */
VDIT_API const vdit_family *vdit_family_at(size_t i);

/* Returns: the family of that name, or NULL. */
VDIT_API const vdit_family *vdit_family_find(const char *name);

typedef enum vdit_mask_kind {
    VDIT_MASK_NONE,
    VDIT_MASK_BOOL_RANDOM,  /* bool [1,1,Nq,Nk], three quarters attend */
    VDIT_MASK_FLOAT_RANDOM, /* the case's dtype [1,1,Nq,Nk], normal, one eighth -inf */
    VDIT_MASK_WINDOW        /* bool [1,1,Nq,Nk], a band around the diagonal */
} vdit_mask_kind;

/* How q, k, v and o of attention lie in files, and in memory that is generated. */
typedef enum vdit_axes {
    VDIT_AXES_BHND, /* [B,H,N,width] each */
    VDIT_AXES_BNHD, /* [B,N,H,width] each */
    VDIT_AXES_BN3HD /* q, k and v are slices of one qkv [B,N,3,H,d]; o is [B,N,H,d] */
} vdit_axes;

/* One case of a recipe, lists expanded. */
typedef struct vdit_case {
    const char *name; /* unique in its recipe, safe as a file name */
    vdit_operator op;
    const vdit_family *family;
    const vdit_contract *contract;
    vdit_dtype dtype; /* of inputs and output: f32, bf16 or f16 */
    uint64_t seed;
    size_t B, H, Nq, Nk, d, dv; /* attention */
    size_t M, K,
        N; /* linear x [M,K], w [N,K]; matmul a [M,K], b [K,N]; exp, log x [N]; others: vdit-recipe(5) */
    int bias;       /* linear: 1 with b [N] */
    double scale;   /* attention */
    vdit_axes axes; /* attention */
    vdit_tokens
        tokens; /* attention: what the tokens are; all 0 if nothing is said. conv: the patches */
    const char *plan;   /* attention: NULL, or a plan whose files are tensors of the case */
    const char *meters; /* attention: NULL, or a list of meters */
    vdit_mask_kind mask;
    size_t window;             /* VDIT_MASK_WINDOW: keys on each side */
    const int64_t *key_length; /* NULL or [B] */
    size_t row_every;          /* not 0: every row_every-th query row */
    size_t row_count;          /* not 0: that many evenly spread query rows */
} vdit_case;

typedef struct vdit_recipe {
    const char *name;
    const char *about;
    size_t case_count;
    vdit_case *cases;
} vdit_recipe;

/*
 * Reads a recipe. Unknown keys, wrong types, sizes beyond the limits of vdit-recipe(5) and equal
 * case names are errors that name the case.
 * Out: recipe. In: path of a JSON file. Returns: VDIT_OK, VDIT_ERR_IO, VDIT_ERR_FORMAT,
 * VDIT_ERR_LIMIT.
 */
VDIT_API vdit_status vdit_recipe_load(vdit_run *run, vdit_recipe *recipe, const char *path);

/* What a case takes. */
typedef struct vdit_case_cost {
    double flops;     /* of the operator, 2 per multiplication and addition */
    double in_bytes;  /* tensors of CASE.in.safetensors */
    double out_bytes; /* tensors of CASE.out.safetensors */
} vdit_case_cost;

/* Out: cost. In: c. */
VDIT_API void vdit_case_estimate(vdit_case_cost *cost, const vdit_case *c);

/* Returns: R, the number of query rows that the case computes: Nq without a row rule. */
VDIT_API size_t vdit_case_rows(const vdit_case *c);

#define VDIT_GOLDEN_INPUTS  16
#define VDIT_GOLDEN_OUTPUTS 96

/* The tensors of one case, generated or read from a corpus. */
typedef struct vdit_golden {
    const char *name;
    vdit_operator op;
    const vdit_contract *contract;
    double scale;       /* attention */
    vdit_axes axes;     /* attention: how the files have it; the tensors below are [B,H,N,width] */
    vdit_tokens tokens; /* attention */
    const char *plan, *meters; /* attention, or NULL */
    size_t input_count, output_count;
    vdit_named inputs[VDIT_GOLDEN_INPUTS];   /* in the order of vdit_operator's comments */
    vdit_named outputs[VDIT_GOLDEN_OUTPUTS]; /* the same */
    vdit_file *in, *out; /* the files that hold the tensors; NULL if generated */
} vdit_golden;

/* Returns: the input or output of that name, or NULL. */
VDIT_API const vdit_tensor *vdit_golden_find(const vdit_golden *golden, const char *name);

/*
 * Returns: a tensor that a file holds under that name, as the golden's layout has it, seen as
 * [B,H,N,width]; any other tensor as it is. In: golden, name, stored.
 */
VDIT_API vdit_tensor vdit_golden_logical(const vdit_golden *golden, const char *name,
                                         const vdit_tensor *stored);

/*
 * Generates the inputs of a case; no outputs yet. Bits do not depend on threads or machine.
 * Out: golden. In: c. Returns: VDIT_OK, VDIT_ERR_MEMORY, VDIT_ERR_LIMIT.
 */
VDIT_API vdit_status vdit_golden_generate(vdit_run *run, vdit_golden *golden, const vdit_case *c);

/*
 * Computes the golden's outputs by the reference, sigma under its contract included.
 * Out: golden->outputs. In: golden with its inputs. Returns: VDIT_OK or the failure.
 */
VDIT_API vdit_status vdit_golden_compute(vdit_run *run, vdit_golden *golden);

/*
 * Lets any backend compute outputs from the golden's inputs. Output dtypes are those of the inputs;
 * an element that the backend does not write is a NaN.
 * Out: outputs, count: the main output, lse (attention), sigma if contract is not NULL, then what the
 * backend reports of the mask of the case's plan, and the case's meters, which are the library's.
 * In: golden, backend (an operator that it lacks falls back on the reference), contract.
 * Returns: VDIT_OK or the failure.
 */
VDIT_API vdit_status vdit_golden_apply(vdit_run *run, vdit_named outputs[VDIT_GOLDEN_OUTPUTS],
                                       size_t *count, const vdit_golden *golden,
                                       const vdit_backend *backend, const vdit_contract *contract);

/*
 * In: op; is_edited, 1 for attention with edits. Returns: 1 if the backend computes it itself, 0 if it falls back on
 * the reference.
 */
VDIT_API int vdit_golden_offers(const vdit_backend *backend, vdit_operator op, int is_edited);

/*
 * Sigma of the main output under another contract than the golden's own.
 * Out: sigma, bf16, the shape of the main output. In: golden with its inputs, contract.
 * Returns: VDIT_OK or the failure.
 */
VDIT_API vdit_status vdit_golden_sigma(vdit_run *run, vdit_tensor *sigma, const vdit_golden *golden,
                                       const vdit_contract *contract);

/*
 * Writes the golden's inputs and outputs as CASE.in.safetensors and CASE.out.safetensors.
 * In: golden, in and out (paths; NULL: not that file).
 * Returns: VDIT_OK or the failure; no partial file is left.
 */
VDIT_API vdit_status vdit_golden_write(vdit_run *run, const vdit_golden *golden, const char *in,
                                       const char *out);

/* What a manifest says of one tensor. */
typedef struct vdit_manifest_tensor {
    char name[64];
    int is_output; /* 0: in CASE.in.safetensors; 1: in CASE.out.safetensors */
    vdit_dtype dtype;
    int rank;
    size_t shape[VDIT_MAX_RANK];
    char sha256[65]; /* lower-case hexadecimal, over the dense little-endian bytes */
} vdit_manifest_tensor;

typedef struct vdit_manifest_case {
    vdit_case params; /* the case itself, so that a corpus can be regenerated without its recipe */
    const char *in, *out; /* file names, relative to the folder */
    size_t tensor_count;
    vdit_manifest_tensor tensors[VDIT_GOLDEN_INPUTS + VDIT_GOLDEN_OUTPUTS];
} vdit_manifest_case;

typedef struct vdit_manifest {
    const char *recipe;  /* its name */
    const char *library; /* version that made it */
    size_t case_count;
    vdit_manifest_case *cases;
} vdit_manifest;

/*
 * Reads a manifest and checks it: the number of cases, names that stay inside the folder, sums.
 * Out: manifest. In: path of the manifest file. Returns: VDIT_OK, VDIT_ERR_IO, VDIT_ERR_FORMAT.
 */
VDIT_API vdit_status vdit_manifest_read(vdit_run *run, vdit_manifest *manifest, const char *path);

/*
 * Opens the two files of a case and finds the tensors that the manifest lists, each with the dtype
 * and shape that it says. The sums are not computed.
 * Out: golden, to be closed. In: directory of the corpus, c. Returns: VDIT_OK, VDIT_ERR_IO,
 * VDIT_ERR_FORMAT, VDIT_ERR_SHAPE, VDIT_ERR_DTYPE; nothing stays open on a failure.
 */
VDIT_API vdit_status vdit_golden_open(vdit_run *run, vdit_golden *golden, const char *directory,
                                      const vdit_manifest_case *c);

/* Closes the files of an opened golden; its tensors are gone. */
VDIT_API void vdit_golden_close(vdit_golden *golden);

/* What happened to a case in make or verify. */
typedef enum vdit_case_event {
    VDIT_CASE_BEGIN,
    VDIT_CASE_MADE, /* computed and written */
    VDIT_CASE_KEPT, /* found on disk, as it should be */
    VDIT_CASE_HOLDS,
    VDIT_CASE_DIFFERS, /* text says which tensor and where */
    VDIT_CASE_EXTRA    /* a file or case that nothing lists; name is its name */
} vdit_case_event;

typedef void vdit_case_report(void *state, vdit_case_event event, const char *name,
                              const char *text);

typedef struct vdit_corpus_options {
    vdit_case_report *report; /* NULL: silent */
    void *state;
    const char *const *only; /* names of the cases to treat; NULL: all */
    size_t only_count;
    int npz; /* make: write CASE.in.npz and CASE.out.npz too, bf16 widened to f32 */
} vdit_corpus_options;

/*
 * Makes the corpus of a recipe: per case two files, the manifest last. A case that is there already
 * and has the right sums is kept, so an interrupted make continues.
 * In: recipe, directory (made if it does not exist), options (NULL: none).
 * Returns: VDIT_OK or the failure; the folder then has no manifest.json that lists an unfinished
 * case.
 */
VDIT_API vdit_status vdit_corpus_make(vdit_run *run, const vdit_recipe *recipe,
                                      const char *directory, const vdit_corpus_options *options);

/*
 * Recomputes every case of a manifest and compares bits.
 * Out: failures, the number of cases, files and tensors that do not hold.
 * In: recipe (NULL: the cases are the manifest's own), manifest, directory (NULL: compare sums
 * alone, no files), options. Returns: VDIT_OK if the comparison could be made, whatever it found.
 */
VDIT_API vdit_status vdit_corpus_verify(vdit_run *run, size_t *failures, const vdit_recipe *recipe,
                                        const vdit_manifest *manifest, const char *directory,
                                        const vdit_corpus_options *options);

/*
 * Goldens of whole networks. Weights and inputs are drawn, so that a case is a few words and its golden is the sum of
 * every activation, in the order of execution. The files are those of vdit-recipe(5), "networks".
 */
typedef struct vdit_network_case {
    const char *name;
    const char *family, *size; /* as vdit_model_preset has them */
    const char **settings;     /* "KEY=VALUE" */
    size_t setting_count;
    uint64_t seed;      /* of weights and inputs */
    vdit_dtype weights; /* in which they are drawn */
    vdit_dtype dtype;   /* the policy of the call */
    vdit_extents extents;
    double *timestep; /* [extents.batch] */
    double *guidance; /* [extents.batch], or NULL */
    size_t *valid;    /* rows of text that are valid, [extents.batch]; NULL: all */
} vdit_network_case;

typedef struct vdit_network_recipe {
    const char *name, *about;
    size_t case_count;
    vdit_network_case *cases;
} vdit_network_recipe;

/* Returns: 1 if the file at path says that it is a recipe of networks; 0 if not, or if it cannot be read. */
VDIT_API int vdit_network_recipe_is(const char *path);

/* Out: recipe, in the run's memory. Returns: VDIT_OK, VDIT_ERR_IO, VDIT_ERR_FORMAT. */
VDIT_API vdit_status vdit_network_recipe_load(vdit_run *run, vdit_network_recipe *recipe,
                                              const char *path);

/*
 * Runs a case by the reference. In: trace, told of the inputs ("in/latents") and then of every activation.
 * Returns: VDIT_OK or the failure.
 */
VDIT_API vdit_status vdit_network_case_run(vdit_run *run, const vdit_network_case *c,
                                           vdit_trace_fn *trace, void *state);

/* Runs every case and writes the sums to a manifest at path, atomically. */
VDIT_API vdit_status vdit_network_recipe_make(vdit_run *run, const vdit_network_recipe *recipe,
                                              const char *path, const vdit_corpus_options *options);

/*
 * Runs every case again and compares sums; the first activation that differs is told.
 * Out: failures, the number of cases that do not hold. In: manifest, its path. Returns: VDIT_OK if the comparison could
 * be made.
 */
VDIT_API vdit_status vdit_network_recipe_verify(vdit_run *run, size_t *failures,
                                                const vdit_network_recipe *recipe,
                                                const char *manifest,
                                                const vdit_corpus_options *options);

/*
 * The inputs of a call of a network as facts of a seed: latents, text and pooled text are normal numbers, rounded to f32,
 * tensors 0, 1 and 2 of the case (vdit-recipe(5)); every text row is valid; the time is 500 and the guidance 6000.
 * Out: inputs, with data for all that the network takes, and the output not cleared; in the run's memory.
 * Returns: VDIT_OK, or what vdit_model_inputs_of says.
 */
VDIT_API vdit_status vdit_inputs_draw(vdit_run *run, vdit_model_inputs *inputs,
                                      const vdit_model *model, const vdit_extents *extents,
                                      uint64_t seed);

#endif
