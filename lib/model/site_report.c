/* site_report.c - what the edits of a site did, and what the meters say of it. */
#include <math.h>
#include <string.h>
#include "backend/known.h"
#include "model/site.h"

void vdit_net_site_settle(vdit_net_site *site, vdit_status status)
{
    if (status != VDIT_OK)
        vdit_run_fail(site->net->run, status, "the caller refused it: %s",
                      vdit_status_name(status));
}

/* Returns: 1 if some head drops entries at that moment. */
static int drops(const vdit_net_site *site, vdit_moment moment)
{
    for (size_t h = 0; h < site->a->q.shape[1]; h++)
        if (site->heads[h] != NULL && vdit_edit_drops(site->heads[h], moment))
            return 1;
    return 0;
}

/* Returns: t, made [B,H,N] of that type. */
static vdit_tensor *make(vdit_net_site *site, vdit_tensor *t, vdit_dtype dtype)
{
    vdit_tensor_new(site->net->run, t, dtype, 3, site->a->q.shape);
    return t;
}

void vdit_net_site_report(vdit_net_site *site)
{
    if (site->net->call->site_edits == NULL || site->call.edits == NULL)
        return;
    site->report.size = sizeof site->report;
    if (drops(site, VDIT_AFTER_SOFTMAX)) {
        site->report.masked = make(site, &site->masked, VDIT_I64);
        site->report.kept_mass = make(site, &site->kept_mass, VDIT_F32);
    }
    if (drops(site, VDIT_BEFORE_SOFTMAX))
        site->report.dense_mass = make(site, &site->dense_mass, VDIT_F32);
    site->call.report = &site->report;
}

/* Sums over the rows of the edited heads. */
typedef struct sums {
    double rows, entries, masked, kept, least, dense;
} sums;

static double valid_keys(const vdit_net_site *site, size_t b)
{
    if (site->call.key_length == NULL)
        return (double)site->a->k.shape[2];
    return (double)*(const int64_t *)vdit_tensor_at(site->call.key_length, &b);
}

static void add_row(sums *s, const vdit_net_site *site, const size_t index[3])
{
    const vdit_edit_report *report = &site->report;

    s->rows++;
    s->entries += valid_keys(site, index[0]);
    if (report->masked != NULL) {
        double kept = *(const float *)vdit_tensor_at(report->kept_mass, index);

        s->masked += (double)*(const int64_t *)vdit_tensor_at(report->masked, index);
        s->kept += kept;
        s->least = kept < s->least ? kept : s->least;
    }
    if (report->dense_mass != NULL)
        s->dense += *(const float *)vdit_tensor_at(report->dense_mass, index);
}

static void score(vdit_site_edits *did, const vdit_net_site *site)
{
    const size_t *shape = site->a->q.shape;
    sums s = {.least = 1};
    size_t at[3];

    for (at[0] = 0; at[0] < shape[0]; at[0]++)
        for (at[1] = 0; at[1] < shape[1]; at[1]++)
            for (at[2] = 0; site->heads[at[1]] != NULL && at[2] < shape[2]; at[2]++)
                add_row(&s, site, at);
    did->masked_fraction = did->kept_mass = did->least_kept_mass = did->dense_mass = NAN;
    if (site->report.masked != NULL && s.entries > 0) {
        did->masked_fraction = s.masked / s.entries;
        did->kept_mass = s.kept / s.rows;
        did->least_kept_mass = s.least;
    }
    if (site->report.dense_mass != NULL && s.rows > 0)
        did->dense_mass = s.dense / s.rows;
}

void vdit_net_site_tell(vdit_net_site *site)
{
    const vdit_forward *call = site->net->call;
    vdit_site_edits did = {.site = site->net->name,
                           .layer = site->a->layer,
                           .heads = site->a->q.shape[1],
                           .edits = site->heads,
                           .report = &site->report};

    if (call->site_edits == NULL || site->call.edits == NULL ||
        vdit_run_status(site->net->run) != VDIT_OK)
        return;
    for (size_t h = 0; h < did.heads; h++)
        did.edited += site->heads[h] != NULL;
    did.backend = vdit_backend_known(site->net->backend).edited != NULL ? site->net->backend->name
                                                                        : "reference";
    score(&did, site);
    vdit_net_site_settle(site, call->site_edits(call->site_edits_state, &did));
}

/* Returns: 1 if the call has meters for this site. */
static int is_measured(const vdit_net_site *site)
{
    const vdit_forward *call = site->net->call;

    if (call->meters == NULL || call->site_meters == NULL)
        return 0;
    return call->meter_sites == NULL ? site->a->kind != 0
                                     : vdit_name_matches(call->meter_sites, site->net->name);
}

void vdit_net_site_measure(vdit_net_site *site)
{
    const vdit_forward *call = site->net->call;
    vdit_meter_request request;
    vdit_meter_results results;

    if (!is_measured(site) || vdit_run_status(site->net->run) != VDIT_OK)
        return;
    vdit_meter_request_init(&request, call->meters);
    request.tokens = site->a->tokens;
    if (call->source != NULL && strstr(call->meters, "similarity") != NULL) {
        const vdit_tensor *v = NULL;

        vdit_net_site_settle(site, call->source(call->source_state, site->net->name,
                                                VDIT_FROM_Q | VDIT_FROM_K, &request.other_q,
                                                &request.other_k, &v));
    }
    if (vdit_meter_run(site->net->run, &site->call, &request, &results) == VDIT_OK)
        vdit_net_site_settle(site,
                             call->site_meters(call->site_meters_state, site->net->name, &results));
}
