// What the tensor memory unit writes: tiled and im2col boxes inside, across and outside the array, swizzled.
#include "tests/kernels/probe/hopper_probe.cuh"

namespace fp::FP_MACHINE {
namespace {

struct Corner {
    int at[4] = {};      // tiled: elements of three dimensions; im2col: c, w, h, n
    int offset[2] = {};  // im2col: the tap (w, h)
};

// Rows of 32 words as they lie in shared memory, and one more whose first word tells whether all bytes came.
__global__ void tensor_copy_kernel(
    const __grid_constant__ TensorMap map, Corner c, bool im2col, int rows, int bytes, uint32_t* out) {
    DYN_SHARED(unsigned char, shared);
    constexpr uint32_t kBefore = 0xa5a5a5a5;
    auto* words = reinterpret_cast<uint32_t*>(shared);
    auto* barrier = reinterpret_cast<Mbarrier*>(shared + rows * 128);
    for (int i = thread_index(); i < rows * 32; i += kWarp) words[i] = kBefore;
    async_fence();
    if (thread_index() == 0) {
        mbarrier_init(barrier, 1);
        mbarrier_init_fence();
    }
    block_sync();
    if (thread_index() == 0) {
        mbarrier_arrive_expect(barrier, bytes);
        if (im2col)
            tensor_load_im2col(shared, map, c.at[0], c.at[1], c.at[2], c.at[3], c.offset[0], c.offset[1], barrier);
        else
            tensor_load_3d(shared, map, c.at[0], c.at[1], c.at[2], barrier);
    }
    const bool all_came = phase_ends(barrier, 0);
    block_sync();
    for (int i = thread_index(); i < rows * 32; i += kWarp) out[i] = words[i];
    out[rows * 32 + thread_index()] = thread_index() == 0 && all_came;
}

ProbeOutput copies(const Memory& memory, const TensorMapSpec& spec, const std::vector<Corner>& corners) {
    const TensorMap map = encode(spec);
    const int rows = spec.rows();
    const Wanted out(memory, {{"copy", int64_t(corners.size())}, {"row", rows + 1}, {"word", 32}});
    for (size_t i = 0; i < corners.size(); ++i)
        launch(tensor_copy_kernel, {.threads = kWarp, .shared_bytes = size_t(rows) * 128 + 64}, {}, map, corners[i],
               spec.im2col, rows, spec.bytes(), out.data() + i * size_t(rows + 1) * 32);
    return out.output();
}

// (C, W, H, N) of bf16 in NHWC.
struct Images {
    int c, w, h, n;
    int64_t count() const { return int64_t(c) * w * h * n; }
};

TensorMapSpec im2col(const void* base, const Images& x, int pixels, int filter, int pad, int step) {
    return {.base = base,
            .rank = 4,
            .size = {x.c, x.w, x.h, x.n},
            .stride = {1, x.c, int64_t(x.c) * x.w, int64_t(x.c) * x.w * x.h},
            .im2col = true,
            .pixels = pixels,
            .lower = {-pad, -pad},
            .upper = {pad - (filter - 1), pad - (filter - 1)},
            .step = step};
}

// Pixels from the first place on, from inside a row, across samples and past the last one, at several taps.
std::vector<Corner> walks(const Images& x, int filter, int pad, int step) {
    const int last = filter - 1, middle = filter / 2;
    return {{{0, -pad, -pad, 0}, {0, 0}},
            {{0, step - pad, -pad, 0}, {last, middle}},
            {{0, -pad, step - pad, x.n - 1}, {middle, last}},
            {{64, step - pad, step - pad, 0}, {last, last}}};
}

Probe im2col_probe(const char* name, const Images& x, int pixels, int filter, int pad, int step, uint64_t seed) {
    return {.name = name, .run = [=](const Memory& memory) {
                const Given<bf16> in(memory, bf16_numbers(size_t(x.count()), seed));
                return copies(memory, im2col(in.data(), x, pixels, filter, pad, step), walks(x, filter, pad, step));
            }};
}

}  // namespace

void add_tensor_copy_probes(std::vector<Probe>& list) {
    list.push_back(
        {.name = "tiled_copy_swizzled_and_out_of_bounds", .run = [](const Memory& memory) {
             const Given<bf16> in(memory, bf16_numbers(200 * 3 * 40, 10));
             return copies(
                 memory,
                 {.base = in.data(), .rank = 3, .size = {200, 3, 40}, .stride = {1, 200, 600}, .box = {64, 2, 12}},
                 {{{0, 0, 0}}, {{64, 1, 17}}, {{192, 2, 34}}, {{-8, -1, -5}}, {{8, 1, 40}}});
         }});
    // cuda.h forbids it.
    list.push_back({.name = "tiled_copy_of_overlapping_rows", .binding = false, .run = [](const Memory& memory) {
                        // A stem's rows: windows of 64 elements, 8 further each, of lines of 128.
                        const Given<bf16> in(memory, bf16_numbers(128 * 6, 11));
                        return copies(memory,
                                      {.base = in.data(),
                                       .rank = 3,
                                       .size = {64, 9, 6},
                                       .stride = {1, 8, 128},
                                       .overlapping = true,
                                       .box = {64, 9, 2}},
                                      {{{0, 0, 0}}, {{0, 3, 4}}, {{16, -1, 5}}});
                    }});
    for (const int width : {32, 16, 8})
        list.push_back(
            {.name = text("tiled_copy_of_", width, "_elements_in_rows_of_64"),
             .binding = false,
             .run = [width](const Memory& memory) {
                 const Given<bf16> in(memory, bf16_numbers(72 * 20, 12));
                 return copies(
                     memory,
                     {.base = in.data(), .rank = 3, .size = {72, 1, 20}, .stride = {1, 72, 72}, .box = {width, 1, 16}},
                     {{{0, 0, 0}}, {{64, 0, 7}}});
             }});
    list.push_back(im2col_probe("im2col_3x3_pad_1", {72, 7, 5, 3}, 40, 3, 1, 1, 13));
    list.push_back(im2col_probe("im2col_3x3_stride_2_pad_1", {72, 9, 6, 3}, 24, 3, 1, 2, 14));
    list.push_back(im2col_probe("im2col_3x3_no_pad", {72, 8, 5, 2}, 24, 3, 0, 1, 15));
    list.push_back(im2col_probe("im2col_1x1_stride_2", {72, 8, 7, 3}, 24, 1, 0, 2, 16));
    list.push_back(im2col_probe("im2col_7x7_stride_2_pad_3", {64, 13, 10, 2}, 40, 7, 3, 2, 17));
    list.push_back(im2col_probe("im2col_40_channels", {40, 6, 6, 2}, 32, 3, 1, 1, 18));
}

}  // namespace fp::FP_MACHINE
