/* mutants_plugin.c - honest variants and mutants as the backends of one plugin. */
#include "mutants.h"

#define SLOTS 128

/* Where the mutants, and those of edits among them, begin: honest ones come first. */
static size_t honest_count(void)
{
    size_t n = 0;

    while (mutant_honest_at(n) != NULL)
        n++;
    return n;
}

static size_t plain_count(void)
{
    size_t n = 0;

    while (mutant_broken_at(n) != NULL)
        n++;
    return honest_count() + n;
}

/* Returns: the i-th of all, or NULL past the last. */
static const mutant *mutant_at(size_t i)
{
    size_t honest = honest_count(), plain = plain_count();

    if (i < honest)
        return mutant_honest_at(i);
    return i < plain ? mutant_broken_at(i - honest) : mutant_edit_at(i - plain);
}

/* A backend's function is not told which backend it is: so each place of the table has its own two,
   numbered in octal. */
#define SLOT(n)                                                                                    \
    static vdit_status slot_##n(vdit_run *run, const vdit_attention *a)                            \
    {                                                                                              \
        return mutant_attention(run, a, mutant_at(0##n));                                          \
    }                                                                                              \
    static vdit_status edit_##n(vdit_run *run, const vdit_attention *a)                            \
    {                                                                                              \
        return mutant_edited(run, a, (size_t)0##n - plain_count());                                \
    }
#define NAMES(n)    {slot_##n, edit_##n},
#define EIGHT(F, n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7)
#define PART(F, n)                                                                                 \
    EIGHT(F, n##0)                                                                                 \
    EIGHT(F, n##1)                                                                                 \
    EIGHT(F, n##2) EIGHT(F, n##3) EIGHT(F, n##4) EIGHT(F, n##5) EIGHT(F, n##6) EIGHT(F, n##7)

PART(SLOT, 0)
PART(SLOT, 1)

static const struct {
    vdit_status (*attention)(vdit_run *, const vdit_attention *);
    vdit_status (*edited)(vdit_run *, const vdit_attention *);
} slots[SLOTS] = {PART(NAMES, 0) PART(NAMES, 1)};

/* Filled by the first call of the entry. */
static vdit_backend backends[SLOTS];
static const vdit_backend *list[SLOTS];
static vdit_plugin plugin = {sizeof plugin, VDIT_PLUGIN_ABI, list, 0};

const vdit_plugin *vdit_plugin_entry(void)
{
    size_t plain = plain_count();
    const mutant *m;

    for (plugin.count = 0; plugin.count < SLOTS && (m = mutant_at(plugin.count)) != NULL;
         plugin.count++) {
        backends[plugin.count] = (vdit_backend){.size = sizeof *backends,
                                                .name = m->name,
                                                .about = m->about,
                                                .attention = slots[plugin.count].attention};
        if (plugin.count >= plain) /* the others fall back on the reference */
            backends[plugin.count].edited = slots[plugin.count].edited;
        list[plugin.count] = &backends[plugin.count];
    }
    return &plugin;
}
