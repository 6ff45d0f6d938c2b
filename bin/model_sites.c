/* model_sites.c - vdit-model sites: where a network attends, and what a trace of it holds. */
#include "model.h"
#include "program.h"
#include <stdio.h>

/* Returns: bytes of one head's map in f32. */
static double map_bytes(const vdit_site_info *site)
{
    return 4 * (double)site->queries * (double)site->keys;
}

static json_t *site_json(const vdit_site_info *site)
{
    return json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:f}", "name", site->name, "layer",
                     (json_int_t)site->layer, "kind", model_kind_name(site->kind), "heads",
                     (json_int_t)site->heads, "queries", (json_int_t)site->queries, "keys",
                     (json_int_t)site->keys, "width", (json_int_t)site->width, "map_bytes",
                     map_bytes(site));
}

static void print_json(const vdit_model_survey *survey, int with_activations)
{
    json_t *sites = json_array(), *activations = json_array(), *all;

    for (size_t i = 0; i < survey->site_count; i++)
        json_array_append_new(sites, site_json(&survey->sites[i]));
    for (size_t i = 0; with_activations && i < survey->activation_count; i++) {
        const vdit_name_info *a = &survey->activations[i];

        json_array_append_new(activations, json_pack("{s:s, s:s, s:o}", "name", a->name, "dtype",
                                                     vdit_dtype_name(a->tensor.dtype), "shape",
                                                     model_shape_json(&a->tensor)));
    }
    all = json_pack("{s:o}", "sites", sites);
    if (with_activations)
        json_object_set(all, "activations", activations);
    json_decref(activations);
    model_print_json(all);
}

static void print_words(const vdit_model_survey *survey, int with_activations)
{
    char bytes[32], shape[128];

    printf("%-52s %5s %-8s %5s %13s %5s %8s\n", "SITE", "LAYER", "KIND", "HEADS", "QUERIES x KEYS",
           "WIDTH", "MAP");
    for (size_t i = 0; i < survey->site_count; i++) {
        const vdit_site_info *s = &survey->sites[i];
        char map[64];

        snprintf(map, sizeof map, "%zu x %zu", s->queries, s->keys);
        printf("%-52s %5zu %-8s %5zu %14s %5zu %8s\n", s->name, s->layer, model_kind_name(s->kind),
               s->heads, map, s->width, program_bytes_text(bytes, sizeof bytes, map_bytes(s)));
    }
    for (size_t i = 0; with_activations && i < survey->activation_count; i++) {
        const vdit_name_info *a = &survey->activations[i];

        printf("%-64s %-4s %s\n", a->name, vdit_dtype_name(a->tensor.dtype),
               vdit_tensor_shape_text(shape, sizeof shape, &a->tensor));
    }
}

int model_sites(vdit_run *run, const model_settings *set, model_operands operands)
{
    vdit_model *model = model_open(run, model_only(operands, "sites DIR or sites CONFIG"));
    vdit_model_survey survey;
    vdit_extents extents;

    model_extents(run, model, set, &extents);
    vdit_model_survey_of(run, model, &extents, model_dtype(set, VDIT_F32), &survey);
    program_check(run);
    if (set->json)
        print_json(&survey, set->activations);
    else
        print_words(&survey, set->activations);
    vdit_model_close(model);
    return 0;
}
