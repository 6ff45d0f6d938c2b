/* meters.h - what programs that read meters have in common. */
#ifndef METERS_H
#define METERS_H

#include <jansson.h>
#include <vdit/meter.h>

/* Prints what meters there are, with their options and results. */
void meters_list(void);

/*
 * Returns: an object with an entry for each meter: its ids, and its results by name, the values where no axis is one of
 * rows, keys or cells.
 */
json_t *meters_json(const vdit_meter_results *results);

#endif
