/* model/site.h - one attention site at work: what the plan, a source run and the meters have to do with it. */
#ifndef VDIT_MODEL_SITE_H
#define VDIT_MODEL_SITE_H

#include "model/net.h"

typedef struct vdit_net_site {
    vdit_net *net;
    const vdit_net_attention *a;
    vdit_attention call;     /* edits and report are set where the plan does something */
    vdit_edit *edits;        /* [H], NULL without a plan */
    const vdit_edit **heads; /* [H], those that do something, else NULL */
    vdit_edit_report report;
    vdit_tensor masked, kept_mass, dense_mass; /* of the report */
} vdit_net_site;

/* Sets the edits of the call: those of the plan, with operands of the source run and gates that the map decides. */
void vdit_net_site_edit(vdit_net_site *site);

/* Asks the call for a report, where somebody listens; tells it once the call is computed. */
void vdit_net_site_report(vdit_net_site *site);
void vdit_net_site_tell(vdit_net_site *site);

/* Reads the meters, where the call asks for them at this site. */
void vdit_net_site_measure(vdit_net_site *site);

/* Fails with what a callback refused, unless the run has failed. */
void vdit_net_site_settle(vdit_net_site *site, vdit_status status);

#endif
