/*
 * cuda_attention.cu - a backend on CUDA: attention in tiles of keys, a warp per query row.
 *
 *     nvcc -shared -Xcompiler -fPIC -O3 -arch=sm_90 cuda_attention.cu -o cuda.so \
 *         $(pkg-config --cflags --libs libvdit)
 *     vdit-check --plugin cuda.so quick
 *
 * Of each tile of 32 keys a lane computes one logit; then each lane adds up its own channels of the
 * output. Arithmetic is f32. bf16 and f16 are widened when read and rounded once when written.
 */
#include <cmath>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <vdit/backend.h>

namespace
{

enum { LANES = 32, WARPS = 4, CHANNELS = 8 }; /* of a warp, of a block, of a lane */
const size_t widest = LANES * CHANNELS;       /* d and dv */

/* What the kernel reads and writes; tensors are dense. */
struct operands {
    const void *q, *k, *v;       /* [B,H,Nq,d], [B,H,Nk,d], [B,H,Nk,dv] */
    const float *mask;           /* added; -inf masks */
    size_t step[4];              /* of the mask's axes, 0 along one that it has not */
    const long long *rows;       /* [R] */
    const long long *key_length; /* [B] */
    void *o;                     /* [B,H,R,dv] */
    float *lse;                  /* [B,H,R] */
    size_t heads, count, queries, keys, d, dv;
    float scale;
    vdit_dtype q_type, k_type, v_type, o_type;
};

__device__ float load(const void *p, size_t i, vdit_dtype type)
{
    if (type == VDIT_BF16)
        return __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
    if (type == VDIT_F16)
        return __half2float(static_cast<const __half *>(p)[i]);
    return static_cast<const float *>(p)[i];
}

__device__ void store(void *p, size_t i, float x, vdit_dtype type)
{
    if (type == VDIT_BF16)
        static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn(x);
    else if (type == VDIT_F16)
        static_cast<__half *>(p)[i] = __float2half_rn(x);
    else
        static_cast<float *>(p)[i] = x;
}

__device__ float warp_max(float x)
{
    for (int far = LANES / 2; far > 0; far /= 2)
        x = fmaxf(x, __shfl_xor_sync(~0U, x, far));
    return x;
}

__device__ float warp_sum(float x)
{
    for (int far = LANES / 2; far > 0; far /= 2)
        x += __shfl_xor_sync(~0U, x, far);
    return x;
}

/* grid [rows / WARPS, B * H], block [LANES, WARPS]; shared: LANES keys, each with a float of padding. */
__global__ void attend(operands a)
{
    extern __shared__ float k_tile[];
    const size_t bh = blockIdx.y, b = bh / a.heads, h = bh % a.heads;
    const size_t at = (size_t)blockIdx.x * WARPS + threadIdx.y, i = at < a.count ? at : a.count - 1;
    const size_t row = a.rows[i], length = a.key_length[b], q_row = (bh * a.queries + row) * a.d;
    const unsigned lane = threadIdx.x, thread = threadIdx.y * LANES + lane;
    float top = -INFINITY, sum = 0, o[CHANNELS] = {0};

    for (size_t first = 0; first < length; first += LANES) {
        const size_t valid = length - first < LANES ? length - first : size_t(LANES);
        float s = -INFINITY, next, shrink, p;

        /* 1. The block fetches a tile of keys. */
        __syncthreads();
        for (size_t n = thread; n < valid * a.d; n += LANES * WARPS)
            k_tile[n / a.d * (a.d + 1) + n % a.d] =
                load(a.k, (bh * a.keys + first) * a.d + n, a.k_type);
        __syncthreads();

        /* 2. A logit per lane; what is masked stays -inf, whatever its key holds. */
        if (lane < valid) {
            s = a.mask[b * a.step[0] + h * a.step[1] + row * a.step[2] +
                       (first + lane) * a.step[3]];
            if (s != -INFINITY) {
                float dot = 0;
                for (size_t c = 0; c < a.d; c++)
                    dot += load(a.q, q_row + c, a.q_type) * k_tile[lane * (a.d + 1) + c];
                s += dot * a.scale;
            }
        }

        /* 3. Sums so far are in units of exp(top), which has grown. */
        next = fmaxf(top, warp_max(s));
        shrink = top == next ? 1 : expf(top - next);
        p = s == -INFINITY ? 0 : expf(s - next);
        sum = sum * shrink + warp_sum(p);
        for (int c = 0; c < CHANNELS; c++)
            o[c] *= shrink;

        /* 4. A channel of V in each lane; a value of weight 0 may be NaN and is not read. */
        for (size_t j = 0; j < valid; j++) {
            const float p_j = __shfl_sync(~0U, p, (int)j);
            for (size_t c = lane, n = 0; c < a.dv && p_j != 0; c += LANES, n++)
                o[n] += p_j * load(a.v, (bh * a.keys + first + j) * a.dv + c, a.v_type);
        }
        top = next;
    }
    if (at >= a.count)
        return;
    if (lane == 0)
        a.lse[bh * a.count + i] = top + logf(sum);
    for (size_t c = lane, n = 0; c < a.dv; c += LANES, n++)
        store(a.o, (bh * a.count + i) * a.dv + c, sum == 0 ? 0 : o[n] / sum, a.o_type);
}

/* The memory of one call on the device. CUDA's answers become the run's status. */
struct device {
    vdit_run *run;
    void *memory[9];
    int count;
};

bool is_well(vdit_run *run, cudaError_t code, const char *step)
{
    if (code != cudaSuccess)
        vdit_run_fail(run, VDIT_ERR_IO, "CUDA: %s: %s", step, cudaGetErrorString(code));
    return vdit_run_status(run) == VDIT_OK;
}

/* Returns: size bytes on the device, a copy of host's or, without host, not cleared; NULL: failed. */
void *put(device &d, const void *host, size_t size)
{
    void *made = nullptr;

    if (vdit_run_status(d.run) != VDIT_OK ||
        !is_well(d.run, cudaMalloc(&made, size ? size : 1), "cudaMalloc"))
        return nullptr;
    d.memory[d.count++] = made;
    if (host != nullptr)
        is_well(d.run, cudaMemcpy(made, host, size, cudaMemcpyHostToDevice), "cudaMemcpy");
    return made;
}

/* Strides are left behind here: the device gets a dense copy. */
void *put_tensor(device &d, const vdit_tensor *t)
{
    const size_t count = vdit_tensor_count(t), size = vdit_dtype_size(t->dtype);
    void *dense = vdit_run_alloc(d.run, count, size);

    if (dense == nullptr)
        return nullptr;
    vdit_tensor_pack(dense, t);
    return put(d, dense, count * size);
}

/* The mask as f32 to be added; a single 0 if there is none. */
void put_mask(device &d, operands &a, const vdit_tensor *mask)
{
    size_t count = mask ? vdit_tensor_count(mask) : 1, along = 1;
    float *added = static_cast<float *>(vdit_run_alloc(d.run, count, sizeof *added));
    char *packed = static_cast<char *>(vdit_run_alloc(d.run, count, sizeof(double)));

    if (added == nullptr || packed == nullptr)
        return;
    *added = 0;
    if (mask != nullptr)
        vdit_tensor_pack(packed, mask);
    for (size_t i = 0; mask && i < count; i++) {
        double x;
        vdit_load_f64(&x, 1, packed + i * vdit_dtype_size(mask->dtype), 1, mask->dtype);
        added[i] = mask->dtype != VDIT_BOOL ? (float)x : x != 0 ? 0 : -INFINITY;
    }
    for (int axis = 3; mask && axis >= 0; axis--) {
        a.step[axis] = mask->shape[axis] == 1 ? 0 : along;
        along *= mask->shape[axis];
    }
    a.mask = static_cast<const float *>(put(d, added, count * sizeof *added));
}

/* The list, or 0, 1, 2, ... of count without one; with other not 0, count times other. */
const long long *put_list(device &d, const vdit_tensor *list, size_t count, size_t other)
{
    long long *all = static_cast<long long *>(vdit_run_alloc(d.run, count, sizeof *all));

    for (size_t i = 0; all && i < count; i++) {
        all[i] = (long long)(other ? other : i);
        if (list != nullptr)
            all[i] = *static_cast<const int64_t *>(vdit_tensor_at(list, &i));
    }
    return all ? static_cast<const long long *>(put(d, all, count * sizeof *all)) : nullptr;
}

/* Copies dense device memory into a tensor (NULL: not asked for) of any strides. */
void fetch(vdit_run *run, vdit_tensor *t, const void *from)
{
    const size_t count = t ? vdit_tensor_count(t) : 0, size = t ? vdit_dtype_size(t->dtype) : 0;
    char *dense = static_cast<char *>(vdit_run_alloc(run, count, size));

    if (count == 0 || vdit_run_status(run) != VDIT_OK ||
        !is_well(run, cudaMemcpy(dense, from, count * size, cudaMemcpyDeviceToHost), "the kernel"))
        return;
    for (size_t i = 0; i < count; i++) {
        size_t index[VDIT_MAX_RANK], rest = i;
        for (int axis = t->rank - 1; axis >= 0; axis--) {
            index[axis] = rest % t->shape[axis];
            rest /= t->shape[axis];
        }
        for (size_t byte = 0; byte < size; byte++)
            static_cast<char *>(vdit_tensor_at(t, index))[byte] = dense[i * size + byte];
    }
}

void compute(device &d, const vdit_attention *call)
{
    const size_t batches = call->q->shape[0];
    operands a = {};
    size_t outputs;

    a.heads = call->q->shape[1];
    a.queries = call->q->shape[2];
    a.keys = call->k->shape[2];
    a.d = call->q->shape[3];
    a.dv = call->v->shape[3];
    a.count = call->rows ? call->rows->shape[0] : a.queries;
    a.scale = (float)call->scale;
    a.q_type = call->q->dtype;
    a.k_type = call->k->dtype;
    a.v_type = call->v->dtype;
    a.o_type = call->o ? call->o->dtype : VDIT_F32;
    outputs = batches * a.heads * a.count;
    if (outputs * a.dv == 0)
        return;
    a.q = put_tensor(d, call->q);
    a.k = put_tensor(d, call->k);
    a.v = put_tensor(d, call->v);
    put_mask(d, a, call->mask);
    a.rows = put_list(d, call->rows, a.count, 0);
    a.key_length = put_list(d, call->key_length, batches, a.keys);
    a.o = put(d, nullptr, outputs * a.dv * vdit_dtype_size(a.o_type));
    a.lse = static_cast<float *>(put(d, nullptr, outputs * sizeof *a.lse));
    if (vdit_run_status(d.run) == VDIT_OK) {
        const dim3 grid((unsigned)((a.count + WARPS - 1) / WARPS), (unsigned)(batches * a.heads));
        void *arguments[] = {&a};
        is_well(d.run,
                cudaLaunchKernel(reinterpret_cast<const void *>(attend), grid, dim3(LANES, WARPS),
                                 arguments, LANES * (a.d + 1) * sizeof(float), nullptr),
                "cudaLaunchKernel");
    }
    fetch(d.run, call->o, a.o);
    fetch(d.run, call->lse, a.lse);
}

vdit_status attention(vdit_run *run, const vdit_attention *a)
{
    const size_t mark = vdit_run_mark(run);
    device d = {run, {nullptr}, 0};

    if (a->map != nullptr)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "cuda: no map is ever made");
    if (a->q->shape[3] > widest || a->v->shape[3] > widest || a->k->shape[2] == 0 ||
        a->q->shape[0] * a->q->shape[1] > 65535)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                             "cuda: widths to %zu, at least one key and at most 65535 heads",
                             widest);
    compute(d, a);
    while (d.count > 0)
        cudaFree(d.memory[--d.count]);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

/* Operators that are not named fall back on the reference. */
vdit_backend make_backend()
{
    vdit_backend made = {};

    made.size = sizeof made;
    made.name = "cuda";
    made.about = "online softmax in f32 over tiles of keys, on CUDA";
    made.attention = attention;
    return made;
}

const vdit_backend cuda = make_backend();
const vdit_backend *const backends[] = {&cuda};
const vdit_plugin plugin = {sizeof plugin, VDIT_PLUGIN_ABI, backends, 1};

} // namespace

const vdit_plugin *vdit_plugin_entry(void)
{
    return &plugin;
}
