/* golden_networks.c - making, verifying and listing recipes of networks. */
#include "golden.h"
#include <stdio.h>

static void load(vdit_run *run, vdit_network_recipe *recipe, const char *path)
{
    vdit_network_recipe_load(run, recipe, path);
    program_check(run);
}

const char *golden_networks_make(vdit_run *run, const char *path, const char *manifest,
                                 const vdit_corpus_options *options)
{
    vdit_network_recipe recipe;

    load(run, &recipe, path);
    vdit_network_recipe_make(run, &recipe, manifest, options);
    program_check(run);
    return recipe.name;
}

const char *golden_networks_verify(vdit_run *run, size_t *failures, const char *path,
                                   const char *manifest, const vdit_corpus_options *options)
{
    vdit_network_recipe recipe;

    load(run, &recipe, path);
    if (manifest == NULL)
        manifest = program_data(run, recipe.name, "manifests", ".json");
    vdit_network_recipe_verify(run, failures, &recipe, manifest, options);
    program_check(run);
    return recipe.name;
}

static void list_case(json_t *list, const vdit_network_case *c)
{
    const vdit_extents *e = &c->extents;
    char extents[128];

    snprintf(extents, sizeof extents, "%zux%zux%zux%zu, %zu", e->batch, e->frames, e->height,
             e->width, e->text);
    if (list != NULL)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s}", "name",
                                              c->name, "family", c->family, "size", c->size,
                                              "weights", vdit_dtype_name(c->weights), "dtype",
                                              vdit_dtype_name(c->dtype), "seed",
                                              (json_int_t)c->seed, "extents", extents));
    else
        printf("%-24s %-10s %-10s %-7s %-6s %s\n", c->name, c->family, c->size,
               vdit_dtype_name(c->weights), vdit_dtype_name(c->dtype), extents);
}

void golden_networks_list(vdit_run *run, const char *path, json_t *list)
{
    vdit_network_recipe recipe;

    load(run, &recipe, path);
    if (list == NULL)
        printf("%-24s %-10s %-10s %-7s %-6s %s\n", "CASE", "FAMILY", "SIZE", "WEIGHTS", "DTYPE",
               "BATCHxFxHxW, TEXT");
    for (size_t i = 0; i < recipe.case_count; i++)
        if (golden_wants(recipe.cases[i].name))
            list_case(list, &recipe.cases[i]);
}
