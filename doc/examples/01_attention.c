/*
 * 01_attention.c - attention in memory: the reference, what it decided where, and the fast backend.
 *
 *     cc 01_attention.c $(pkg-config --cflags --libs libvdit) -o 01_attention && ./01_attention
 */
#include <stdio.h>
#include <vdit/backend.h>
#include <vdit/random.h>

enum { HEADS = 2, TOKENS = 48, WIDTH = 16 };

/* Uniform numbers in [-1,1), a stream per seed. */
static void fill(float *out, size_t n, uint32_t seed)
{
    const uint32_t key[2] = {seed, 0};
    uint32_t counter[4] = {0, 0, 0, 0}, word[4];

    for (size_t i = 0; i < n; i++) {
        counter[0] = (uint32_t)i;
        vdit_philox4x32_10(word, counter, key);
        out[i] = (float)((double)(word[0] >> 8) / 8388608 - 1);
    }
}

int main(void)
{
    static float q[HEADS * TOKENS * WIDTH], k[HEADS * TOKENS * WIDTH], v[HEADS * TOKENS * WIDTH];
    static float exact[HEADS * TOKENS * WIDTH], fast[HEADS * TOKENS * WIDTH];
    const size_t shape[] = {1, HEADS, TOKENS, WIDTH}, n = HEADS * TOKENS * WIDTH;
    vdit_tensor qt = vdit_tensor_view(q, VDIT_F32, 4, shape);
    vdit_tensor kt = vdit_tensor_view(k, VDIT_F32, 4, shape);
    vdit_tensor vt = vdit_tensor_view(v, VDIT_F32, 4, shape);
    vdit_tensor exact_o = vdit_tensor_view(exact, VDIT_F32, 4, shape);
    vdit_tensor fast_o = vdit_tensor_view(fast, VDIT_F32, 4, shape);
    vdit_run *run = vdit_run_new();
    const uint64_t *decided;
    vdit_attention call;
    size_t differing = 0;
    double worst = 0;
    int failed;

    if (run == NULL)
        return 2;
    fill(q, n, 1);
    fill(k, n, 2);
    fill(v, n, 3);

    vdit_attention_init(&call, &qt, &kt, &vt); /* the scale is 1/sqrt(d) */
    call.o = &exact_o;
    vdit_backend_find("reference")->attention(run, &call);
    call.o = &fast_o;
    vdit_backend_find("fast")->attention(run, &call);

    /* The status is sticky: it is enough to ask once, at the end. */
    failed = vdit_run_status(run) != VDIT_OK;
    if (failed)
        fprintf(stderr, "%s\n", vdit_run_message(run));
    for (size_t i = 0; i < n; i++) {
        double error = (double)fast[i] - (double)exact[i];
        differing += error != 0;
        worst = error > worst ? error : -error > worst ? -error : worst;
    }
    decided = vdit_run_counters(run)->attention;
    printf("decided by the estimate, the refinement, the last stage: %llu, %llu, %llu\n",
           (unsigned long long)decided[0], (unsigned long long)decided[1],
           (unsigned long long)decided[2]);
    printf("binary32 arithmetic differs in %zu of %zu elements, by at most %.1e\n", differing, n,
           worst);
    vdit_run_free(run);
    return failed;
}
