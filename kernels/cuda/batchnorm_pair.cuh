// Two batch norms on moments, added, with ReLU, both ways: the end of a ResNet block whose shortcut has a norm. Part of
// batchnorm.cu, whose kernels on a Swath these are for two inputs at a time.
//
//   forward   y = max(norm1(x1) + norm2(x2), 0), and the bits of y > 0
//   backward  g = dy where y > 0;  sums of g, g xhat1, g xhat2;  dx1 and dx2
//
// Traffic   forward reads both x and writes y: 3.06 maps, where norm after norm has 5; backward reads x1, x2, dy and
//           the bits twice and writes dx1 and dx2: 8.12, where they have 11
// Bound     memory
#pragma once

struct PairMaps {
    const bf16 *x[2], *dy;
    const uint8_t* bits;
    const float *mean[2], *rstd[2], *gamma[2], *beta[2];
};

__global__ void __launch_bounds__(Swath::kThreads, kResident) normalize_pair_kernel(
    PairMaps in, bf16* __restrict__ y, uint8_t* __restrict__ bits, Swath swath, bool backward) {
    SHARED(RingSlots<2>, slots, );
    const SwathPlace at(swath, backward);
    const void* const maps[2] = {in.x[0], in.x[1]};
    Ring<2, false> feed(slots, maps, nullptr, at);
    if (at.count == 0) return;
    Normal<bf16> first(in.mean[0], batch_spread(in.rstd[0]), in.gamma[0], in.beta[0], at.pack);
    const Normal<bf16> second(in.mean[1], batch_spread(in.rstd[1]), in.gamma[1], in.beta[1],
                              at.pack);
    UNROLL
    for (int e = 0; e < 8; ++e) first.shift.v[e] += second.shift.v[e];
    feed.walk([&](int pack, const uint4(&raw)[2], unsigned) {
        const Pack<bf16> a = unpacked<bf16>(raw[0]), b = unpacked<bf16>(raw[1]);
        Pack<bf16> v;
        unsigned byte = 0;
        UNROLL
        for (int e = 0; e < 8; ++e) {
            v.v[e] = fused_multiply_add(b.v[e] - second.centre.v[e], second.scale.v[e],
                                        first.y(a.v[e] - first.centre.v[e], e));
            v.v[e] = v.v[e] <= 0 ? 0 : v.v[e];
            byte |= v.v[e] > 0 ? 1u << e : 0u;
        }
        store_pack(y + int64_t(pack) * 8, v);
        stg(bits + pack, uint8_t(byte));
    });
}

// Of each chunk: sum g, sum g xhat1, sum g xhat2, [chunk][3][C].
__global__ void __launch_bounds__(Swath::kThreads, 2) pair_gradient_sums_kernel(
    PairMaps in, Swath swath, bool backward, float* __restrict__ partial) {
    constexpr int kRoom = 24 * kSumStride * int(sizeof(float)) / 16;
    union Shared {
        RingSlots<3> slots;
        uint4 room[kRoom];
    };
    SHARED(Shared, shared, );
    const SwathPlace at(swath, backward);
    const void* const maps[3] = {in.dy, in.x[0], in.x[1]};
    Ring<3, true> feed(shared.slots, maps, in.bits, at);
    float sums[24] = {};
    if (at.count > 0) {
        const Pack<bf16> centre = load_channels<bf16>(in.mean[0], at.pack),
                         centre2 = load_channels<bf16>(in.mean[1], at.pack);
        feed.walk([&](int, const uint4(&raw)[3], unsigned byte) {
            const Pack<bf16> g = unpacked<bf16>(raw[0]), a = unpacked<bf16>(raw[1]),
                             b = unpacked<bf16>(raw[2]);
            UNROLL
            for (int e = 0; e < 8; ++e) {
                const float of = byte >> e & 1 ? g.v[e] : 0;
                sums[e] += of;
                sums[8 + e] += of * (a.v[e] - centre.v[e]);
                sums[16 + e] += of * (b.v[e] - centre2.v[e]);
            }
        });
    }
    const int group = int(blockIdx.x) % swath.groups, chunk = int(blockIdx.x) / swath.groups;
    const int stored = swath.packs * 8;
    sum_rows(sums, reinterpret_cast<float*>(&shared), swath, [&](int across, int e, float sum) {
        const int pack = group * swath.across + across;
        if (pack >= swath.packs) return;
        const int channel = pack * 8 + e % 8;
        if (e >= 8) sum *= ldg((e < 16 ? in.rstd[0] : in.rstd[1]) + channel);
        stg(partial + (int64_t(chunk) * 3 + e / 8) * stored + channel, sum);
    });
}

__global__ void __launch_bounds__(Swath::kThreads, 2)
    pair_differentiate_kernel(PairMaps in,
                              const float* __restrict__ totals,
                              bf16* __restrict__ dx1,
                              bf16* __restrict__ dx2,
                              Swath swath,
                              bool backward) {
    SHARED(RingSlots<3>, slots, );
    const SwathPlace at(swath, backward);
    const void* const maps[3] = {in.dy, in.x[0], in.x[1]};
    Ring<3, true> feed(slots, maps, in.bits, at);
    if (at.count == 0) return;
    // dx = scale g + slope x + level, as pool_differentiate_kernel has it.
    const Pack<bf16> mean_g = load_channels<bf16>(totals, at.pack);
    Pack<bf16> scale[2], slope[2], level[2];
    UNROLL
    for (int i = 0; i < 2; ++i) {
        const Pack<bf16> centre = load_channels<bf16>(in.mean[i], at.pack),
                         weight = load_channels<bf16>(in.gamma[i], at.pack),
                         mean_g_xhat = load_channels<bf16>(
                             totals + int64_t(i + 1) * swath.packs * 8, at.pack);
        scale[i] = slope[i] = load_channels<bf16>(in.rstd[i], at.pack);
        UNROLL
        for (int e = 0; e < 8; ++e) {
            scale[i].v[e] *= weight.v[e];
            slope[i].v[e] *= -scale[i].v[e] * mean_g_xhat.v[e];
            level[i].v[e] = -scale[i].v[e] * mean_g.v[e] - slope[i].v[e] * centre.v[e];
        }
    }
    feed.walk([&](int pack, const uint4(&raw)[3], unsigned byte) {
        Pack<bf16> g = unpacked<bf16>(raw[0]);
        UNROLL
        for (int e = 0; e < 8; ++e) g.v[e] = byte >> e & 1 ? g.v[e] : 0;
        UNROLL
        for (int i = 0; i < 2; ++i) {
            Pack<bf16> dx = unpacked<bf16>(raw[1 + i]);
            UNROLL
            for (int e = 0; e < 8; ++e)
                dx.v[e] =
                    fused_multiply_add(dx.v[e], slope[i].v[e],
                                       fused_multiply_add(g.v[e], scale[i].v[e], level[i].v[e]));
            store_pack((i == 0 ? dx1 : dx2) + int64_t(pack) * 8, dx);
        }
    });
}

inline PairMaps pair_maps(const BatchNorm::Half& a, const BatchNorm::Half& b) {
    PairMaps maps{};
    const BatchNorm::Half* halves[2] = {&a, &b};
    for (int i = 0; i < 2; ++i) {
        maps.x[i] = static_cast<const bf16*>(halves[i]->x);
        maps.mean[i] = static_cast<const float*>(halves[i]->mean);
        maps.rstd[i] = static_cast<const float*>(halves[i]->rstd);
        maps.gamma[i] = static_cast<const float*>(halves[i]->gamma);
        maps.beta[i] = static_cast<const float*>(halves[i]->beta);
    }
    return maps;
}

inline size_t pair_scratch_bytes(const BatchNormShape& s) {
    return size_t(sums_swath<bf16>(s).chunks() + 1) * 3 * size_t(s.x.stored_c()) * sizeof(float);
}

inline void pair_on_moments(const BatchNormShape& s,
                            const BatchNorm::Half& a,
                            const BatchNorm::HalfOnMoments& on_a,
                            const BatchNorm::Half& b,
                            const BatchNorm::HalfOnMoments& on_b,
                            act* y,
                            Stream stream) {
    FP_CHECK(s.relu && s.bits && swath_holds(s.x, 8), "batchnorm: not a pair");
    start_finish_statistics(s, on_a.moments, on_a.running_mean, on_a.running_var, a.mean, a.rstd,
                            stream);
    start_finish_statistics(s, on_b.moments, on_b.running_mean, on_b.running_var, b.mean, b.rstd,
                            stream);
    const Swath on = map_swath<bf16>(s);
    launch(normalize_pair_kernel, swath_grid(on), stream, pair_maps(a, b), static_cast<bf16*>(y),
           bits_behind<bf16>(s, y), on, bn_turn(1));
}

inline void pair_backward(const BatchNormShape& s,
                          const BatchNorm::Half& a,
                          const BatchNorm::Half& b,
                          const act* y,
                          const act* dy,
                          const BatchNorm::HalfGradient& to_a,
                          const BatchNorm::HalfGradient& to_b,
                          Write par_write,
                          void* scratch,
                          Stream stream) {
    PairMaps in = pair_maps(a, b);
    in.dy = static_cast<const bf16*>(dy);
    in.bits = bits_behind<bf16>(s, y);
    const Swath sums = sums_swath<bf16>(s), on = map_swath<bf16>(s);
    auto* partial = static_cast<float*>(scratch);
    float* totals = partial + int64_t(sums.chunks()) * 3 * s.x.stored_c();
    launch(pair_gradient_sums_kernel, swath_grid(sums), stream, in, sums, bn_turn(2), partial);
    const SumSlots slots{.of = {{static_cast<float*>(to_a.dbeta), static_cast<float*>(to_b.dbeta)},
                                {static_cast<float*>(to_a.dgamma), nullptr},
                                {static_cast<float*>(to_b.dgamma), nullptr}}};
    start_sums_finish(s, partial, sums.chunks(), totals, 3, slots, par_write, stream);
    launch(pair_differentiate_kernel, swath_grid(on), stream, in, totals,
           static_cast<bf16*>(to_a.dx), static_cast<bf16*>(to_b.dx), on, bn_turn(4));
}
