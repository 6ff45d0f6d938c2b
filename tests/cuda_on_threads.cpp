/*
 * cuda_on_threads.cpp - the CUDA example as a plugin without CUDA: a thread of the processor for each of a
 * block, blocks one after another. It shows that the kernel computes what it should, not how fast, and
 * nothing of a GPU's memory.
 *
 * Built with CUDA_SOURCE, the path of the example, and empty files in the place of CUDA's headers.
 */
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vdit/tensor.h>
#include <vector>

#define __device__
#define __global__
#define __shared__

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};

/* Waits until count threads are here; used again and again. */
class barrier
{
    std::mutex mutex;
    std::condition_variable all_here;
    const unsigned count;
    unsigned missing, round = 0;

  public:
    explicit barrier(unsigned n) : count(n), missing(n)
    {
    }
    void wait()
    {
        std::unique_lock<std::mutex> lock(mutex);
        const unsigned mine = round;
        if (--missing == 0) {
            missing = count;
            round++;
            all_here.notify_all();
        }
        all_here.wait(lock, [&] { return round != mine; });
    }
};

enum { WARP = 32, WARPS_MOST = 8 };

static thread_local dim3 blockIdx, threadIdx;
static barrier *block_barrier, *warp_barrier[WARPS_MOST];
static float exchanged[WARPS_MOST][WARP];

namespace
{
float k_tile[WARP * 257]; /* the block's shared memory */
}

static void __syncthreads()
{
    block_barrier->wait();
}

static float __shfl_sync(unsigned, float x, int lane)
{
    const unsigned warp = threadIdx.y;

    exchanged[warp][threadIdx.x] = x;
    warp_barrier[warp]->wait();
    x = exchanged[warp][lane];
    warp_barrier[warp]->wait();
    return x;
}

static float __shfl_xor_sync(unsigned all, float x, int far)
{
    return __shfl_sync(all, x, (int)threadIdx.x ^ far);
}

struct __nv_bfloat16 {
    unsigned short bits;
};
struct __half {
    unsigned short bits;
};

static float widened(const void *x, vdit_dtype dtype)
{
    double wide;

    vdit_load_f64(&wide, 1, x, 1, dtype);
    return (float)wide;
}

static float __bfloat162float(__nv_bfloat16 x)
{
    return widened(&x, VDIT_BF16);
}

static float __half2float(__half x)
{
    return widened(&x, VDIT_F16);
}

static __nv_bfloat16 __float2bfloat16_rn(float x)
{
    __nv_bfloat16 rounded;

    vdit_store_f64(&rounded, VDIT_BF16, x);
    return rounded;
}

static __half __float2half_rn(float x)
{
    __half rounded;

    vdit_store_f64(&rounded, VDIT_F16, x);
    return rounded;
}

enum cudaError_t { cudaSuccess, cudaErrorInvalidValue };
enum { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };

static const char *cudaGetErrorString(cudaError_t)
{
    return "too large for threads";
}

static cudaError_t cudaMalloc(void **memory, size_t size)
{
    *memory = malloc(size);
    memset(*memory, 0x5a, size); /* what the kernel leaves out shows */
    return cudaSuccess;
}

static void cudaFree(void *memory)
{
    free(memory);
}

static cudaError_t cudaMemcpy(void *to, const void *from, size_t size, int)
{
    memcpy(to, from, size);
    return cudaSuccess;
}

static cudaError_t cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **arguments,
                                    size_t shared, void *stream);

#include CUDA_SOURCE

static cudaError_t cudaLaunchKernel(const void *, dim3 grid, dim3 block, void **arguments,
                                    size_t shared, void *)
{
    const operands &a = *static_cast<const operands *>(arguments[0]);
    barrier whole(block.x * block.y);
    std::vector<std::thread> threads;

    if (shared > sizeof k_tile || block.x != WARP || block.y > WARPS_MOST)
        return cudaErrorInvalidValue;
    block_barrier = &whole;
    for (unsigned y = 0; y < block.y; y++)
        warp_barrier[y] = new barrier(WARP);
    for (unsigned n = 0; n < block.x * block.y; n++)
        threads.emplace_back([&, n] {
            threadIdx = dim3(n % WARP, n / WARP);
            for (unsigned i = 0; i < grid.x * grid.y; i++) {
                blockIdx = dim3(i % grid.x, i / grid.x);
                attend(a);
                whole.wait();
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    for (unsigned y = 0; y < block.y; y++)
        delete warp_barrier[y];
    return cudaSuccess;
}
