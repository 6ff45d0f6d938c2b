/*
 * plugin_opencl.c - a backend on OpenCL: attention in tiles of keys, as flash kernels do it.
 *
 *     cc -shared -fPIC -O2 plugin_opencl.c -o opencl.so $(pkg-config --cflags --libs libvdit) -lOpenCL
 *     vdit-check --plugin opencl.so quick
 *
 * It takes the first device of the first platform: a GPU, or the processor where PoCL is installed.
 * A work item computes one query row; a group of them shares each tile of keys and values in local
 * memory. Arithmetic is f32. bf16 and f16 are widened when read and rounded once when written.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <vdit/backend.h>

enum { GROUP = 32, TILE = 16, MEMORIES = 8 }; /* query rows of a group, keys of a tile, buffers */

/* Built with D, DV (widths), LOAD_Q, LOAD_K, LOAD_V, STORE_O (by element type), GROUP and TILE. */
static const char source[] =
    "#define IN global const void *\n"
    "float load_f32(IN p, size_t i) { return ((global const float *)p)[i]; }\n"
    "float load_bf16(IN p, size_t i) {\n"
    "    return as_float((uint)((global const ushort *)p)[i] << 16); }\n"
    "float load_f16(IN p, size_t i) { return vload_half(i, (global const half *)p); }\n"
    "void store_f32(global void *p, size_t i, float x) { ((global float *)p)[i] = x; }\n"
    "void store_bf16(global void *p, size_t i, float x) {\n" /* to nearest, ties to even */
    "    uint u = as_uint(x), odd = u >> 16 & 1;\n"
    "    ((global ushort *)p)[i] = isnan(x) ? 0x7fc0 : (ushort)((u + 0x7fff + odd) >> 16); }\n"
    "void store_f16(global void *p, size_t i, float x) {\n"
    "    vstore_half_rte(x, i, (global half *)p); }\n"
    "\n"
    "kernel void attend(IN q, IN k, IN v, global const float *mask, ulong4 step,\n"
    "                   global const int *rows, global const int *lengths, global void *o,\n"
    "                   global float *lse, int heads, int count, int queries, int keys,\n"
    "                   float scale) {\n"
    "    local float k_tile[TILE][D], v_tile[TILE][DV];\n"
    "    size_t bh = get_group_id(1), b = bh / heads, h = bh % heads;\n"
    "    int at = get_global_id(0), i = min(at, count - 1), row = rows[i];\n"
    "    float q_row[D], sum_v[DV], top = -INFINITY, sum = 0;\n"
    "    for (int c = 0; c < D; c++) q_row[c] = LOAD_Q(q, (bh * queries + row) * D + c);\n"
    "    for (int c = 0; c < DV; c++) sum_v[c] = 0;\n"
    "    for (int first = 0; first < lengths[b]; first += TILE) {\n"
    "        int valid = min(TILE, lengths[b] - first);\n"
    /* 1. The group fetches a tile. */
    "        barrier(CLK_LOCAL_MEM_FENCE);\n"
    "        for (int n = get_local_id(0); n < valid * D; n += GROUP)\n"
    "            k_tile[n / D][n % D] = LOAD_K(k, (bh * keys + first) * D + n);\n"
    "        for (int n = get_local_id(0); n < valid * DV; n += GROUP)\n"
    "            v_tile[n / DV][n % DV] = LOAD_V(v, (bh * keys + first) * DV + n);\n"
    "        barrier(CLK_LOCAL_MEM_FENCE);\n"
    /* 2. Logits of the tile; what is masked stays -inf, whatever its key holds. */
    "        float s[TILE], next = top;\n"
    "        for (int j = 0; j < valid; j++) {\n"
    "            float dot = 0, added = mask[b * step.x + h * step.y + row * step.z +\n"
    "                                        (first + j) * step.w];\n"
    "            for (int c = 0; c < D; c++) dot += q_row[c] * k_tile[j][c];\n"
    "            s[j] = added == -INFINITY ? added : dot * scale + added;\n"
    "            next = fmax(next, s[j]);\n"
    "        }\n"
    /* 3. Sums so far are in units of exp(top), which has grown. */
    "        float shrink = top == next ? 1.0f : exp(top - next);\n"
    "        sum *= shrink;\n"
    "        for (int c = 0; c < DV; c++) sum_v[c] *= shrink;\n"
    "        for (int j = 0; j < valid; j++)\n"
    "            if (s[j] != -INFINITY) {\n"
    "                float p = exp(s[j] - next);\n"
    "                sum += p;\n"
    "                for (int c = 0; c < DV; c++) sum_v[c] += p * v_tile[j][c];\n"
    "            }\n"
    "        top = next;\n"
    "    }\n"
    "    if (at >= count) return;\n"
    "    lse[bh * count + i] = top + log(sum);\n"
    "    for (int c = 0; c < DV; c++)\n"
    "        STORE_O(o, (bh * count + i) * DV + c, sum == 0 ? 0 : sum_v[c] / sum);\n"
    "}\n";

/* All that a call takes from OpenCL, and gives back. */
typedef struct device {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    cl_kernel kernel;
    cl_mem memory[MEMORIES];
    cl_uint arguments, memories;
} device;

/* What OpenCL answers becomes the run's status, so that each step can ask whether all went well. */
static int is_well(vdit_run *run, cl_int code, const char *step)
{
    if (code != CL_SUCCESS)
        vdit_run_fail(run, VDIT_ERR_IO, "OpenCL: %s failed with %d", step, (int)code);
    return vdit_run_status(run) == VDIT_OK;
}

static int open_device(vdit_run *run, device *d)
{
    cl_platform_id platform;
    cl_int code;

    if (!is_well(run, clGetPlatformIDs(1, &platform, NULL), "finding a platform") ||
        !is_well(run, clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &d->id, NULL),
                 "finding a device"))
        return 0;
    d->context = clCreateContext(NULL, 1, &d->id, NULL, NULL, &code);
    if (!is_well(run, code, "clCreateContext"))
        return 0;
    d->queue = clCreateCommandQueue(d->context, d->id, 0, &code);
    return is_well(run, code, "clCreateCommandQueue");
}

static int build_kernel(vdit_run *run, device *d, const vdit_attention *a, vdit_dtype output)
{
    const char *text = source;
    char options[256];
    cl_int code;

    snprintf(options, sizeof options,
             "-D GROUP=%d -D TILE=%d -D D=%zu -D DV=%zu -D LOAD_Q=load_%s -D LOAD_K=load_%s "
             "-D LOAD_V=load_%s -D STORE_O=store_%s",
             GROUP, TILE, a->q->shape[3], a->v->shape[3], vdit_dtype_name(a->q->dtype),
             vdit_dtype_name(a->k->dtype), vdit_dtype_name(a->v->dtype), vdit_dtype_name(output));
    d->program = clCreateProgramWithSource(d->context, 1, &text, NULL, &code);
    if (!is_well(run, code, "clCreateProgramWithSource") ||
        !is_well(run, clBuildProgram(d->program, 1, &d->id, options, NULL, NULL), "clBuildProgram"))
        return 0;
    d->kernel = clCreateKernel(d->program, "attend", &code);
    return is_well(run, code, "clCreateKernel");
}

static void close_device(device *d)
{
    while (d->memories > 0)
        clReleaseMemObject(d->memory[--d->memories]);
    if (d->kernel != NULL)
        clReleaseKernel(d->kernel);
    if (d->program != NULL)
        clReleaseProgram(d->program);
    if (d->queue != NULL)
        clReleaseCommandQueue(d->queue);
    if (d->context != NULL)
        clReleaseContext(d->context);
}

/* The next argument of the kernel. */
static void pass(vdit_run *run, device *d, const void *value, size_t size)
{
    if (vdit_run_status(run) == VDIT_OK)
        is_well(run, clSetKernelArg(d->kernel, d->arguments++, size, value), "clSetKernelArg");
}

/* The next argument is a buffer, a copy of host's or, without host, to be written. Returns: it. */
static cl_mem pass_buffer(vdit_run *run, device *d, void *host, size_t size)
{
    cl_mem_flags flags = host ? CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR : CL_MEM_WRITE_ONLY;
    cl_mem buffer;
    cl_int code;

    if (vdit_run_status(run) != VDIT_OK)
        return NULL;
    buffer = clCreateBuffer(d->context, flags, size ? size : 1, host, &code);
    if (!is_well(run, code, "clCreateBuffer"))
        return NULL;
    d->memory[d->memories++] = buffer;
    pass(run, d, &buffer, sizeof buffer);
    return buffer;
}

/* Strides are left behind here: the device gets a dense copy. */
static void pass_tensor(vdit_run *run, device *d, const vdit_tensor *t)
{
    size_t count = vdit_tensor_count(t), size = vdit_dtype_size(t->dtype);
    void *dense = vdit_run_alloc(run, count, size);

    if (dense == NULL)
        return;
    vdit_tensor_pack(dense, t);
    pass_buffer(run, d, dense, count * size);
}

/* The mask as f32 to be added, with a step of 0 along each axis that it has not. */
static void pass_mask(vdit_run *run, device *d, const vdit_tensor *mask)
{
    cl_ulong4 step = {{0, 0, 0, 0}};
    size_t count = mask ? vdit_tensor_count(mask) : 1, along = 1;
    float *added = vdit_run_alloc(run, count, sizeof *added);
    char *packed = vdit_run_alloc(run, count, sizeof(double));

    if (added == NULL || packed == NULL)
        return;
    *added = 0;
    if (mask != NULL)
        vdit_tensor_pack(packed, mask);
    for (size_t i = 0; mask != NULL && i < count; i++) {
        double x;
        vdit_load_f64(&x, 1, packed + i * vdit_dtype_size(mask->dtype), 1, mask->dtype);
        added[i] = mask->dtype != VDIT_BOOL ? (float)x : x != 0 ? 0 : -INFINITY;
    }
    for (int axis = 3; mask != NULL && axis >= 0; axis--) {
        step.s[axis] = mask->shape[axis] == 1 ? 0 : along;
        along *= mask->shape[axis];
    }
    pass_buffer(run, d, added, count * sizeof *added);
    pass(run, d, &step, sizeof step);
}

/* An i64 list as int; without a list, all is count times value, or with value -1 0, 1, 2, ... */
static void pass_list(vdit_run *run, device *d, const vdit_tensor *list, size_t count, int value)
{
    cl_int *all = vdit_run_alloc(run, count, sizeof *all);

    for (size_t i = 0; all != NULL && i < count; i++) {
        all[i] = value < 0 ? (cl_int)i : value;
        if (list != NULL)
            all[i] = (cl_int) * (const int64_t *)vdit_tensor_at(list, &i);
    }
    pass_buffer(run, d, all, count * sizeof *all);
}

/* Copies what a buffer holds, dense, into a tensor (NULL: not asked for) of any strides. */
static void fetch(vdit_run *run, device *d, cl_mem buffer, vdit_tensor *t)
{
    size_t count = t ? vdit_tensor_count(t) : 0, size = t ? vdit_dtype_size(t->dtype) : 0;
    char *dense = vdit_run_alloc(run, count, size);

    if (count == 0 || vdit_run_status(run) != VDIT_OK ||
        !is_well(
            run,
            clEnqueueReadBuffer(d->queue, buffer, CL_TRUE, 0, count * size, dense, 0, NULL, NULL),
            "clEnqueueReadBuffer"))
        return;
    for (size_t i = 0; i < count; i++) {
        size_t index[VDIT_MAX_RANK], rest = i;
        for (int axis = t->rank - 1; axis >= 0; axis--) {
            index[axis] = rest % t->shape[axis];
            rest /= t->shape[axis];
        }
        memcpy(vdit_tensor_at(t, index), dense + i * size, size);
    }
}

/* The call on an open device: arguments in the order of the kernel's, then one item per query row. */
static void compute(vdit_run *run, device *d, const vdit_attention *a)
{
    size_t batches = a->q->shape[0], heads = a->q->shape[1], keys = a->k->shape[2];
    size_t rows = a->rows ? a->rows->shape[0] : a->q->shape[2], width = a->v->shape[3];
    vdit_dtype output = a->o ? a->o->dtype : VDIT_F32;
    size_t global[] = {(rows + GROUP - 1) / GROUP * GROUP, batches * heads}, local[] = {GROUP, 1};
    const cl_int extents[] = {(cl_int)heads, (cl_int)rows, (cl_int)a->q->shape[2], (cl_int)keys};
    const float scale = (float)a->scale;
    cl_mem o, lse;

    if (!build_kernel(run, d, a, output))
        return;
    pass_tensor(run, d, a->q);
    pass_tensor(run, d, a->k);
    pass_tensor(run, d, a->v);
    pass_mask(run, d, a->mask);
    pass_list(run, d, a->rows, rows, -1);
    pass_list(run, d, a->key_length, batches, (int)keys);
    o = pass_buffer(run, d, NULL, batches * heads * rows * width * vdit_dtype_size(output));
    lse = pass_buffer(run, d, NULL, batches * heads * rows * sizeof(float));
    for (int i = 0; i < 4; i++)
        pass(run, d, &extents[i], sizeof extents[i]);
    pass(run, d, &scale, sizeof scale);
    if (vdit_run_status(run) == VDIT_OK)
        is_well(run,
                clEnqueueNDRangeKernel(d->queue, d->kernel, 2, NULL, global, local, 0, NULL, NULL),
                "clEnqueueNDRangeKernel");
    fetch(run, d, o, a->o);
    fetch(run, d, lse, a->lse);
}

static vdit_status attention(vdit_run *run, const vdit_attention *a)
{
    size_t mark = vdit_run_mark(run), rows = a->rows ? a->rows->shape[0] : a->q->shape[2];
    device d = {0};

    if (a->map != NULL)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "flash: no map is ever made");
    if (a->k->shape[2] > 1 << 30 || a->q->shape[2] > 1 << 30 || a->q->shape[3] > 256 ||
        a->v->shape[3] > 256 || a->q->shape[3] == 0)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                             "flash: at most 2^30 tokens and widths of 1 to 256");
    if (a->q->shape[0] * a->q->shape[1] * rows * a->v->shape[3] != 0 && open_device(run, &d))
        compute(run, &d, a);
    close_device(&d);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

static const vdit_backend flash = {
    .size = sizeof flash,
    .name = "flash",
    .about = "online softmax in f32 over tiles of keys, on OpenCL",
    .attention = attention,
};
static const vdit_backend *const backends[] = {&flash};
static const vdit_plugin plugin = {sizeof plugin, VDIT_PLUGIN_ABI, backends, 1};

const vdit_plugin *vdit_plugin_entry(void)
{
    return &plugin;
}
