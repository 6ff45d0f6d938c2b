/* sha256.c - SHA-256 of bytes and of tensors, through libmd. */
#include "config.h"
#include <sys/types.h>
#include <sha2.h>
#include "file/dense.h"
#include "file/sha256.h"

static void finish(char text[65], SHA2_CTX *context)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_LENGTH];

    SHA256Final(digest, context);
    for (size_t i = 0; i < sizeof digest; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[64] = '\0';
}

void vdit_sha256_hex(char text[65], const void *bytes, size_t size)
{
    SHA2_CTX context;

    SHA256Init(&context);
    SHA256Update(&context, bytes, size);
    finish(text, &context);
}

void vdit_tensor_sha256(char text[65], const vdit_tensor *tensor)
{
    vdit_dense stream = vdit_dense_start(tensor);
    uint8_t buffer[16384];
    SHA2_CTX context;
    size_t size;

    SHA256Init(&context);
    while ((size = vdit_dense_read(&stream, buffer, sizeof buffer)) > 0)
        SHA256Update(&context, buffer, size);
    finish(text, &context);
}
