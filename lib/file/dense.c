/* dense.c - a tensor as the bytes that files and checksums hold. */
#include <string.h>
#include "file/dense.h"

int vdit_bytes_differ(size_t size, int big)
{
    const uint16_t one = 1;
    unsigned char low;

    memcpy(&low, &one, 1);
    return size > 1 && (big != 0) == (low == 1);
}

void vdit_bytes_to_host(void *bytes, size_t count, size_t size, int big)
{
    unsigned char *at = bytes;

    if (!vdit_bytes_differ(size, big))
        return;
    for (size_t i = 0; i < count; i++, at += size)
        for (size_t low = 0, high = size - 1; low < high; low++, high--) {
            unsigned char byte = at[low];
            at[low] = at[high];
            at[high] = byte;
        }
}

vdit_dense vdit_dense_start(const vdit_tensor *tensor)
{
    vdit_dense stream = {.tensor = tensor};

    stream.size = vdit_tensor_count(tensor) * vdit_dtype_size(tensor->dtype);
    return stream;
}

/* Out: the next count elements, all there. */
static void take_elements(vdit_dense *stream, unsigned char *out, size_t count)
{
    const vdit_tensor *t = stream->tensor;
    size_t size = vdit_dtype_size(t->dtype);

    if (vdit_tensor_is_dense(t)) {
        memcpy(out, (const char *)t->data + stream->next * size, count * size);
    } else {
        for (size_t n = 0; n < count; n++) {
            memcpy(out + n * size, vdit_tensor_at(t, stream->index), size);
            for (int i = t->rank - 1; i >= 0 && ++stream->index[i] == t->shape[i]; i--)
                stream->index[i] = 0;
        }
    }
    stream->next += count;
    vdit_bytes_to_host(out, count, size, 0); /* the same exchange, the other way */
}

/* Out: what is left of the element that the last read ended within, at most size bytes. */
static size_t take_left(vdit_dense *stream, unsigned char *out, size_t size)
{
    const unsigned char *end = stream->element + vdit_dtype_size(stream->tensor->dtype);

    size = size < stream->left ? size : stream->left;
    memcpy(out, end - stream->left, size);
    stream->left -= size;
    return size;
}

size_t vdit_dense_read(vdit_dense *stream, void *out, size_t size)
{
    size_t element = vdit_dtype_size(stream->tensor->dtype);
    size_t done = take_left(stream, out, size);
    size_t count = stream->size / element - stream->next; /* still to be taken */
    size_t whole = (size - done) / element < count ? (size - done) / element : count;

    if (whole > 0) {
        take_elements(stream, (unsigned char *)out + done, whole);
        done += whole * element;
    }
    if (done < size && whole < count) { /* the read ends within the next one */
        take_elements(stream, stream->element, 1);
        stream->left = element;
        done += take_left(stream, (unsigned char *)out + done, size - done);
    }
    return done;
}
