// Batch norm on given moments, and ReLU's mask in each of its forms: from y, from x again, as bits behind y.
#include "tests/kernels/batchnorm_calls.h"

namespace fp::testing::norms {
namespace {

const BatchNormCase kCases[] = {
    {"odd channels and sides", {.n = 2, .c = 45, .h = 15, .w = 9}},
    {"1x1 maps", {.n = 9, .c = 17, .h = 1, .w = 1}},
    {"two groups of packs", {.n = 2, .c = 270, .h = 3, .w = 5}},
};

class NormMasksOn : public NormOnMoments {};
FP_ON_EVERY_BACKEND(NormMasksOn);

// Parts of one pixel, an incomplete last part, a single part, and more than a block of the finishing kernel loads at
// once.
TEST_P(NormMasksOn, TrainsOnMomentsOfAnyParts) {
    const Kernels& k = table();
    const Device on{k};
    struct Divided {
        Map x;
        int rows;
    };
    for (const Divided& at :
         {Divided{{.n = 3, .c = 17, .h = 9, .w = 7}, 1}, Divided{{.n = 3, .c = 17, .h = 9, .w = 7}, 64},
          Divided{{.n = 3, .c = 17, .h = 9, .w = 7}, 1000}, Divided{{.n = 2, .c = 3, .h = 50, .w = 51}, 1}}) {
        SCOPED_TRACE(text("parts of ", at.rows, ", map of ", at.x.h, "x", at.x.w));
        const BatchNormCase c{"", at.x, 30};
        const BatchNormShape s = shape_on(on, c, true, true);
        const Inputs in = inputs(c);
        const Norm norm(on, s, in, at.rows);
        const Tensor y = on.act_out(s.x), residual = on.act_in(s.x, in.residual);
        k.batchnorm.train_on_moments(s, norm.train(y, residual), norm.of_x(), {});
        const Outputs want = train(exact(), shape_on({exact()}, c, true, true), in);
        expect_close(y.values(), want.y, tolerance(), "y");
        expect_all_close(norm.statistics(), {want.mean, want.rstd, want.running_mean, want.running_var}, 1e-5,
                         "statistics");
    }
}

// One bit per element, behind y: whether ReLU passes its gradient. It passes that of a NaN.
TEST_P(NormMasksOn, BitsAreWhereReluPasses) {
    const Kernels& k = table();
    const Device on{k};
    for (const BatchNormCase& c : kCases)
        for (const bool residual : {false, true}) {
            SCOPED_TRACE(text(c.name, ", residual ", residual));
            BatchNormShape s = shape_on(on, c, true, residual);
            s.bits = true;
            Inputs in = inputs(c);
            in.x[in.x.size() / 2] = std::nan("");
            const Norm norm(on, s, in);
            const Tensor z = on.act_in(s.x, in.residual), without = on.act_out(s.x);
            const Buffer y(k, map_and_bits(s));
            k.batchnorm.infer(s, norm.infer(static_cast<act*>(y.data()), z), {});
            const auto got = y.read();
            s.bits = false;
            k.batchnorm.infer(s, norm.infer(without, z), {});
            const Values values = without.values();
            const size_t map_bytes = got.size() - k.batchnorm.bits_bytes(s);
            const int of_byte = 16 / bytes_of(k.activation);
            const Places places(s.x);
            for (size_t i = 0; i < values.size(); ++i) {
                const auto at = size_t(places.at[i]);
                const bool bit = int(got[map_bytes + at / of_byte]) >> (at % of_byte) & 1;
                ASSERT_EQ(bit, !(values[i] <= 0)) << "element " << i << " is " << values[i];
            }
        }
}

// Backward of what forward left on the device: the same whether the mask is read from y, computed again from x, or
// read from the bits; in every form of the kernels.
TEST_P(NormMasksOn, BackwardIsTheSameFromEveryMask) {
    const Kernels& k = table();
    const Device on{k};
    for (const BatchNormCase& c : kCases)
        for (const bool residual : {false, true})
            for (const bool of_batch : {true, false})
                for (const Write write : {Write::replace, Write::add}) {
                    SCOPED_TRACE(text(c.name, ", residual ", residual, ", batch statistics ", of_batch, ", add ",
                                      write == Write::add));
                    Inputs in = inputs(c);
                    // x stays finite where dx needs it.
                    (of_batch ? in.residual : in.x)[0] = std::nan("");
                    const Values before = random_values(c.x.logical(), 12, k.activation);
                    const auto run = [&](bool again, bool bits) {
                        BatchNormShape s = shape_on(on, c, true, residual);
                        s.bits = bits;
                        const Norm norm(on, s, in);
                        const Tensor z = on.act_in(s.x, in.residual), dy = on.act_in(s.x, random_gradient(s.x)),
                                     dx = on.act_grad(s.x, write, before), dz = on.act_grad(s.x, write, before);
                        const Buffer memory(k, map_and_bits(s)), scratch(k, k.batchnorm.scratch_bytes(s));
                        auto* const y = static_cast<act*>(memory.data());
                        BatchNorm::Gradients to = norm.to(dz.if_given(residual));
                        to.dx = dx;
                        to.dx_write = to.dresidual_write = write;
                        if (!of_batch) to.dgamma = nullptr;  // x is NaN somewhere
                        if (of_batch) {
                            k.batchnorm.train(s, norm.train(y, z.if_given(residual)), scratch.data(), {});
                            BatchNorm::Backward args = norm.backward(y, dy, to);
                            if (again) args.beta = norm.beta;
                            k.batchnorm.backward(s, args, scratch.data(), {});
                        } else {
                            k.batchnorm.infer(s, norm.infer(y, z.if_given(residual)), {});
                            BatchNorm::BackwardFrozen args{.x = norm.x,
                                                           .y = y,
                                                           .dy = dy,
                                                           .gamma = norm.gamma,
                                                           .beta = nullptr,
                                                           .running_mean = norm.running_mean,
                                                           .running_var = norm.running_var,
                                                           .to = to};
                            if (again) args.beta = norm.beta;
                            k.batchnorm.backward_frozen(s, args, scratch.data(), {});
                        }
                        return std::vector<Values>{dx.values(), residual ? dz.values() : Values(),
                                                   of_batch ? norm.dgamma.values() : Values(), norm.dbeta.values()};
                    };
                    const auto read = run(false, false);
                    for (const Values& values : read)
                        for (const double v : values) ASSERT_TRUE(std::isfinite(v));
                    EXPECT_EQ(run(true, false), read) << "again";
                    EXPECT_EQ(run(true, true), read) << "bits";
                }
}

}  // namespace
}  // namespace fp::testing::norms
