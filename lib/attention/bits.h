/*
 * attention/bits.h - a bit for each map entry: u8 [B,H,R,ceil(Nk/8)], key j being bit j % 8 of byte j / 8, as
 * vdit_edit.keep has it. An extent of 1 for B or H stands for all.
 */
#ifndef VDIT_ATTENTION_BITS_H
#define VDIT_ATTENTION_BITS_H

#include <vdit/tensor.h>

/* Returns: the byte with the bit of key j in row r of head (b, h). */
static inline unsigned char *vdit_bits_byte(const vdit_tensor *bits, size_t b, size_t h, size_t r,
                                            size_t j)
{
    const size_t index[4] = {bits->shape[0] == 1 ? 0 : b, bits->shape[1] == 1 ? 0 : h, r, j / 8};

    return vdit_tensor_at(bits, index);
}

static inline int vdit_bits_has(const vdit_tensor *bits, size_t b, size_t h, size_t r, size_t j)
{
    return *vdit_bits_byte(bits, b, h, r, j) >> j % 8 & 1;
}

static inline void vdit_bits_set(const vdit_tensor *bits, size_t b, size_t h, size_t r, size_t j)
{
    unsigned char *byte = vdit_bits_byte(bits, b, h, r, j);

    *byte = (unsigned char)(*byte | 1u << j % 8);
}

#endif
