/*
 * test_attention_offset.c - tensors whose elements lie further apart than 2^31 and than 2^32 elements.
 *
 * The memory is reserved and not used: a row of q, k, v, the mask or o touches a page or two of it.
 */
#include "config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <vdit/golden.h>
#include <vdit/judge.h>

#define TOKENS 70
#define WIDTH  32

/* Elements from one token to the next: the last one begins beyond 2^32. */
#define APART ((size_t)1 << 26)

typedef struct far_memory {
    void *bytes;
    size_t size;
} far_memory;

/* Returns: 1 with room for TOKENS rows that lie APART. */
static int reserve(far_memory *memory, vdit_dtype dtype)
{
    if (sizeof(size_t) < 8)
        return 0;
    memory->size = TOKENS * APART * vdit_dtype_size(dtype);
    memory->bytes = mmap(NULL, memory->size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory->bytes != MAP_FAILED;
}

/* Returns: [1,1,n,width] in far memory, its rows APART, the first of them at element start. */
static vdit_tensor far_view(const far_memory *memory, size_t start, const vdit_tensor *like)
{
    size_t size = vdit_dtype_size(like->dtype);
    vdit_tensor t =
        vdit_tensor_view((char *)memory->bytes + start * size, like->dtype, 4, like->shape);

    t.stride[2] = (ptrdiff_t)APART;
    return t;
}

/* Returns: a copy of near, [1,1,n,width], whose rows lie APART. */
static vdit_tensor far_copy(const far_memory *memory, size_t start, const vdit_tensor *near)
{
    vdit_tensor t = far_view(memory, start, near);
    size_t bytes = near->shape[3] * vdit_dtype_size(near->dtype);

    for (size_t i = 0; i < near->shape[2]; i++) {
        const size_t row[] = {0, 0, i, 0};
        memcpy(vdit_tensor_at(&t, row), vdit_tensor_at(near, row), bytes);
    }
    return t;
}

static void make(vdit_run *run, vdit_golden *golden, vdit_mask_kind mask)
{
    vdit_case c = {.name = "offset", .dtype = VDIT_BF16, .seed = 5, .B = 1, .H = 1};

    c.family = vdit_family_find("offset");
    c.contract = vdit_contract_default(VDIT_BF16);
    c.Nq = c.Nk = TOKENS;
    c.d = c.dv = WIDTH;
    c.scale = 0.2;
    c.mask = mask;
    assert_int_equal(vdit_golden_generate(run, golden, &c), VDIT_OK);
    assert_int_equal(vdit_golden_compute(run, golden), VDIT_OK);
}

/* Moves q, k and v of a golden into far memory, one beside the other. */
static void move_away(vdit_golden *golden, const far_memory *memory)
{
    for (size_t i = 0; i < 3; i++)
        golden->inputs[i].tensor = far_copy(memory, i * WIDTH, &golden->inputs[i].tensor);
}

static vdit_verdict judge(vdit_run *run, const vdit_golden *golden, const char *backend,
                          const char *contract)
{
    vdit_named outputs[VDIT_GOLDEN_OUTPUTS];
    vdit_case_finding finding;
    size_t count;

    if (vdit_golden_apply(run, outputs, &count, golden, vdit_backend_find(backend), NULL) !=
        VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
    assert_int_equal(
        vdit_case_judge(run, &finding, golden, vdit_contract_find(contract), outputs, count),
        VDIT_OK);
    return finding.verdict;
}

static void backends_read_beyond_element_2_to_the_32(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_golden golden;
    far_memory memory;

    (void)state;
    if (!reserve(&memory, VDIT_BF16))
        skip();
    make(run, &golden, VDIT_MASK_NONE);
    move_away(&golden, &memory);
    assert_int_equal(judge(run, &golden, "reference", "exact"), VDIT_HOLDS);
    assert_int_equal(judge(run, &golden, "fast", "bf16/f32acc"), VDIT_HOLDS);
    munmap(memory.bytes, memory.size);
    vdit_run_free(run);
}

static void backends_read_a_mask_beyond_element_2_to_the_32(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_golden golden;
    far_memory memory;

    (void)state;
    if (!reserve(&memory, VDIT_BOOL))
        skip();
    make(run, &golden, VDIT_MASK_BOOL_RANDOM);
    assert_string_equal(golden.inputs[3].name, "mask");
    golden.inputs[3].tensor = far_copy(&memory, 0, &golden.inputs[3].tensor);
    assert_int_equal(judge(run, &golden, "reference", "exact"), VDIT_HOLDS);
    assert_int_equal(judge(run, &golden, "fast", "bf16/f32acc"), VDIT_HOLDS);
    munmap(memory.bytes, memory.size);
    vdit_run_free(run);
}

static void backends_write_beyond_element_2_to_the_32(void **state)
{
    static const char *const names[] = {"reference", "fast"};
    vdit_run *run = vdit_run_new();
    vdit_golden golden;
    far_memory memory;

    (void)state;
    if (!reserve(&memory, VDIT_BF16))
        skip();
    make(run, &golden, VDIT_MASK_NONE);
    for (size_t i = 0; i < 2; i++) {
        vdit_tensor o = far_view(&memory, i * WIDTH, vdit_golden_find(&golden, "o"));
        const vdit_named output = {"o", o};
        vdit_case_finding finding;
        vdit_attention a;
        vdit_attention_init(&a, vdit_golden_find(&golden, "q"), vdit_golden_find(&golden, "k"),
                            vdit_golden_find(&golden, "v"));
        a.scale = golden.scale;
        a.o = &o;
        assert_int_equal(vdit_backend_find(names[i])->attention(run, &a), VDIT_OK);
        assert_int_equal(vdit_case_judge(run, &finding, &golden, NULL, &output, 1), VDIT_OK);
        assert_int_equal(finding.verdict, VDIT_HOLDS);
    }
    munmap(memory.bytes, memory.size);
    vdit_run_free(run);
}

/* What the far rows are for: with 32 bits every row would be row 0 or a neighbour's. */
static void the_rows_lie_where_32_bits_do_not_reach(void **state)
{
    (void)state;
    if (sizeof(size_t) < 8)
        skip();
    assert_true((uint64_t)(TOKENS - 1) * APART > UINT64_C(1) << 32);
    assert_true((uint32_t)(64 * (uint64_t)APART) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_read_beyond_element_2_to_the_32),
        cmocka_unit_test(backends_read_a_mask_beyond_element_2_to_the_32),
        cmocka_unit_test(backends_write_beyond_element_2_to_the_32),
        cmocka_unit_test(the_rows_lie_where_32_bits_do_not_reach),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
