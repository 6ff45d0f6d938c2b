/* mutants_plugin.c - honest variants and mutants as the backends of one plugin. */
#include "mutants.h"

#define SLOTS 128

/* Returns: the i-th of all, honest ones first, or NULL past the last. */
static const mutant *mutant_at(size_t i)
{
    size_t honest = 0;

    while (mutant_honest_at(honest) != NULL)
        honest++;
    return i < honest ? mutant_honest_at(i) : mutant_broken_at(i - honest);
}

/* A backend's function is not told which backend it is: so each place of the table has one of its own,
   numbered in octal. */
#define SLOT(n)                                                                                    \
    static vdit_status slot_##n(vdit_run *run, const vdit_attention *a)                            \
    {                                                                                              \
        return mutant_attention(run, a, mutant_at(0##n));                                          \
    }
#define NAME(n)     slot_##n,
#define EIGHT(F, n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7)
#define PART(F, n)                                                                                 \
    EIGHT(F, n##0)                                                                                 \
    EIGHT(F, n##1)                                                                                 \
    EIGHT(F, n##2) EIGHT(F, n##3) EIGHT(F, n##4) EIGHT(F, n##5) EIGHT(F, n##6) EIGHT(F, n##7)

PART(SLOT, 0)
PART(SLOT, 1)

static vdit_status (*const slots[SLOTS])(vdit_run *,
                                         const vdit_attention *) = {PART(NAME, 0) PART(NAME, 1)};

/* Filled by the first call of the entry. */
static vdit_backend backends[SLOTS];
static const vdit_backend *list[SLOTS];
static vdit_plugin plugin = {sizeof plugin, VDIT_PLUGIN_ABI, list, 0};

const vdit_plugin *vdit_plugin_entry(void)
{
    const mutant *m;

    for (plugin.count = 0; plugin.count < SLOTS && (m = mutant_at(plugin.count)) != NULL;
         plugin.count++) {
        backends[plugin.count] = (vdit_backend){.size = sizeof *backends,
                                                .name = m->name,
                                                .about = m->about,
                                                .attention = slots[plugin.count]};
        list[plugin.count] = &backends[plugin.count];
    }
    return &plugin;
}
