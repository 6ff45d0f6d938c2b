/*
 * attention/plan.h - a plan in memory, and the table of actions that its reader and its writer share.
 *
 * An action is a row of the table: its name, the options it takes, and the group of fields of a vdit_edit that it
 * decides. A line holds one vdit_edit with the fields of its actions, so that to apply a line is to copy groups.
 */
#ifndef VDIT_ATTENTION_PLAN_H
#define VDIT_ATTENTION_PLAN_H

#include <vdit/plan.h>

#define VDIT_PLAN_PATTERNS  16         /* designed masks in one line */
#define VDIT_PLAN_COUNT_MAX 1000000000 /* no layer, head, step, extent or seed is larger */

/* Numbers: those in the first ranges, or all if there are none, but for those in the others. */
typedef struct vdit_plan_set {
    size_t count, kept;
    size_t (*range)[2]; /* [count] first and last, the kept ones first */
} vdit_plan_set;

/* Which sites a line speaks of. */
typedef struct vdit_plan_selector {
    vdit_plan_set layers, heads, steps;
    unsigned branches, kinds, queries;
} vdit_plan_selector;

typedef struct vdit_plan_line {
    struct vdit_plan_line *next;
    size_t number; /* of the line in the text, from 1 */
    vdit_plan_selector at;
    unsigned groups; /* that its actions decide, 1 << group */
    vdit_edit values;
    vdit_gate gate;
    vdit_plan_set key_list;                        /* keys by number */
    vdit_pattern pattern[VDIT_PLAN_PATTERNS];      /* values.patterns */
    unsigned char pattern_row[VDIT_PLAN_PATTERNS]; /* of the table, for each */
} vdit_plan_line;

/* A place in a line where the tensor of a file belongs. */
typedef struct vdit_plan_reference {
    struct vdit_plan_reference *next;
    const vdit_plan_line *line;
    const vdit_tensor **into;
    size_t file;
} vdit_plan_reference;

typedef struct vdit_plan_file_name {
    struct vdit_plan_file_name *next;
    char *name;
    vdit_tensor tensor;
    int bound;
} vdit_plan_file_name;

struct vdit_plan {
    vdit_plan_line *lines, **last_line;
    vdit_plan_reference *references;
    vdit_plan_file_name *files;
    size_t file_count;
};

/* What an option's text is, and what it fills. */
typedef enum vdit_plan_type {
    VDIT_PLAN_NOTHING, /* no option: the end of a row */
    VDIT_PLAN_NUMBER,  /* double within low .. high */
    VDIT_PLAN_SIZES,   /* count size_t, separated by commas, each at least low */
    VDIT_PLAN_WORD,    /* int: the place of the word in words */
    VDIT_PLAN_BITS,    /* unsigned: a bit for each of some words, separated by commas */
    VDIT_PLAN_LETTERS, /* unsigned: a bit for each of some words of one letter, without commas */
    VDIT_PLAN_FILE,    /* const vdit_tensor * */
    VDIT_PLAN_KEYS     /* keys: a list of numbers, or a file */
} vdit_plan_type;

typedef struct vdit_plan_option {
    const char *name; /* before the "="; NULL if it stands alone */
    vdit_plan_type type;
    int required, of_pattern; /* of_pattern: offset is that in the vdit_pattern of the action */
    size_t offset;            /* of what it fills, in a vdit_plan_line */
    const char *const *words; /* ended by NULL */
    double low, high;
    size_t count;
} vdit_plan_option;

#define VDIT_PLAN_OPTIONS 9

typedef enum vdit_plan_group {
    VDIT_GROUP_TRANSFER,
    VDIT_GROUP_TEMPERATURE,
    VDIT_GROUP_KEYS,
    VDIT_GROUP_FIRST_TEXT,
    VDIT_GROUP_KEEP,
    VDIT_GROUP_DROP,
    VDIT_GROUP_MASK,
    VDIT_GROUP_REWEIGHT,
    VDIT_GROUP_REPLACE,
    VDIT_GROUP_MIX,
    VDIT_GROUP_GATE
} vdit_plan_group;

typedef struct vdit_plan_action {
    const char *name; /* one word or two */
    vdit_plan_group group;
    int value; /* the word that tells actions of a group apart: pattern kind, gate kind */
    vdit_plan_option options[VDIT_PLAN_OPTIONS];
} vdit_plan_action;

/* The actions in the order in which they are applied and written; the last has no name. */
extern const vdit_plan_action vdit_plan_actions[];

/* Lines with a name of their own; "$" in the text is where the argument goes. The last has no name. */
typedef struct vdit_plan_preset {
    const char *name, *text, *argument; /* argument: what is expected; NULL: none */
} vdit_plan_preset;

extern const vdit_plan_preset vdit_plan_presets[];

/* Terms of a selector that are sets of words. */
extern const char *const vdit_plan_branch_words[], *const vdit_plan_query_words[];

/* K: words and their bits; self is three of them. */
typedef struct vdit_plan_kind_word {
    const char *name;
    unsigned bits;
} vdit_plan_kind_word;

extern const vdit_plan_kind_word vdit_plan_kind_words[];

/* Fills the constants of an action, once its options (bits of given) are read. Returns: NULL, or what it lacks. */
const char *vdit_plan_finish(const vdit_plan_action *action, vdit_plan_line *line, unsigned given);

/* Returns: the action whose words the line holds in this group (pattern: the n-th), NULL if none. */
const vdit_plan_action *vdit_plan_action_of(const vdit_plan_line *line, vdit_plan_group group,
                                            size_t n);

/* Copies the fields of the groups (bits) from one edit to another. */
void vdit_plan_copy(vdit_edit *to, const vdit_edit *from, unsigned groups);

/* Returns: where the option's value lies. In: the n-th pattern of the line. */
void *vdit_plan_value(const vdit_plan_option *option, vdit_plan_line *line, size_t n);

/* Returns: 1 if n is in the set. */
int vdit_plan_set_has(const vdit_plan_set *set, size_t n);

/* Returns: 1 if a random control (C32) may be asked for at that step and branch. */
int vdit_plan_draws(const vdit_plan *plan, size_t step, unsigned branch);

/*
 * What the map of a call says of the heads whose gate depends on it. Out: sinks[H], 1 for a head that is skipped since it
 * has a sink; random[H], 1 for a head that the random control may draw. Where no gate depends on the map, it is not
 * looked at. In: site, of head 0 of the call; call, with the plan's edits. Returns: VDIT_OK or what vdit_sinks_find says.
 */
vdit_status vdit_plan_sinks(vdit_run *run, unsigned char *sinks, unsigned char *random,
                            const vdit_plan *plan, const vdit_site *site,
                            const vdit_attention *call);

#endif
