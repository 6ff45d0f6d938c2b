/* meter_table.c - the list of meters, by name. */
#include "attention/meter.h"
#include "attention/meter_kinds.h"

const vdit_meter_kind *const vdit_meter_kinds[] = {
    &vdit_meter_column,
    &vdit_meter_diagonal,
    &vdit_meter_energy,
    &vdit_meter_entropy,
    &vdit_meter_first_frame,
    &vdit_meter_frames,
    &vdit_meter_kcurve,
    &vdit_meter_ladder,
    &vdit_meter_lse,
    &vdit_meter_max,
    &vdit_meter_offset,
    &vdit_meter_picture,
    &vdit_meter_quantile,
    &vdit_meter_rectangle,
    &vdit_meter_rows,
    &vdit_meter_segments,
    &vdit_meter_similarity,
    &vdit_meter_sink,
    &vdit_meter_stripe,
    &vdit_meter_text0,
    &vdit_meter_text_tokens,
    &vdit_meter_topk,
    NULL,
};
