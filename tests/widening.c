/* widening.c - wider bounds of stage 0. */
#include "widening.h"
#include "attention/stream.h"
#include "attention_scene.h"

double widening;

void __real_vdit_stream_bound(vdit_row_bound *bound, const vdit_stream *stream, size_t r);
void __wrap_vdit_stream_bound(vdit_row_bound *bound, const vdit_stream *stream, size_t r);

void __wrap_vdit_stream_bound(vdit_row_bound *bound, const vdit_stream *stream, size_t r)
{
    __real_vdit_stream_bound(bound, stream, r);
    bound->weight += widening;
}

int widening_open(void **state)
{
    widening = 0;
    return scene_open_two(state);
}
