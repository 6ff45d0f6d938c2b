/* meter_kinds.h - the kinds of meters, each in a file of its family. */
#ifndef VDIT_ATTENTION_METER_KINDS_H
#define VDIT_ATTENTION_METER_KINDS_H

#include "attention/meter.h"

extern const vdit_meter_kind vdit_meter_column;
extern const vdit_meter_kind vdit_meter_diagonal;
extern const vdit_meter_kind vdit_meter_energy;
extern const vdit_meter_kind vdit_meter_entropy;
extern const vdit_meter_kind vdit_meter_first_frame;
extern const vdit_meter_kind vdit_meter_frames;
extern const vdit_meter_kind vdit_meter_kcurve;
extern const vdit_meter_kind vdit_meter_ladder;
extern const vdit_meter_kind vdit_meter_lse;
extern const vdit_meter_kind vdit_meter_max;
extern const vdit_meter_kind vdit_meter_offset;
extern const vdit_meter_kind vdit_meter_picture;
extern const vdit_meter_kind vdit_meter_quantile;
extern const vdit_meter_kind vdit_meter_rectangle;
extern const vdit_meter_kind vdit_meter_rows;
extern const vdit_meter_kind vdit_meter_segments;
extern const vdit_meter_kind vdit_meter_similarity;
extern const vdit_meter_kind vdit_meter_sink;
extern const vdit_meter_kind vdit_meter_stripe;
extern const vdit_meter_kind vdit_meter_text0;
extern const vdit_meter_kind vdit_meter_text_tokens;
extern const vdit_meter_kind vdit_meter_topk;

#endif
