#include <gmock/gmock.h>

#include "engine/measure/layer_times.h"
#include "kernels/executed.h"
#include "models/models.h"

namespace fp {
namespace {

TEST(LayerTimes, the_interval_of_a_median_has_binomial_ranks) {
    std::vector<double> v;
    for (int i = 1; i <= 15; ++i) v.push_back(i);
    const Estimate m = median_of(v);
    EXPECT_EQ(m.value, 8);
    EXPECT_EQ(m.low, 4);  // P(Binomial(15, 1/2) <= 3) = 0.0176
    EXPECT_EQ(m.high, 12);
    EXPECT_EQ(median_of({3, 1}).low, 1) << "few values: their range";
    EXPECT_EQ(median_of({3, 1}).high, 3);
}

TEST(LayerTimes, rows_have_parameters_times_and_a_share_of_the_roof) {
    const Kernels& k = kernels(Backend::cpu);
    const auto wide = models::build({.arch = "resnet18", .classes = 3, .stem = "small", .width = 0.25}, k),
               thin = models::build({.arch = "resnet18", .classes = 3, .stem = "small", .width = 0.125}, k);
    int64_t done = 0;
    const TimedLayers timed =
        time_layers({wide.get(), thin.get()}, {"wide", "thin"}, {.batch_size = 4, .image_size = 16, .passes = 6},
                    [&](int64_t pass, int64_t all) {
                        EXPECT_EQ(all, 6);
                        done = pass;
                    });
    EXPECT_EQ(done, 6);
    ASSERT_EQ(timed.tables.size(), 2u);
    ASSERT_EQ(timed.tables[0].rows.size(), timed.tables[1].rows.size());
    int convolutions = 0;
    for (const TimedTable& table : timed.tables)
        for (const TimedRow& row : table.rows) {
            EXPECT_LE(row.seconds.low, row.seconds.value);
            EXPECT_LE(row.seconds.value, row.seconds.high);
            if (row.cost.op != "conv2d") continue;
            ++convolutions;
            EXPECT_GT(row.cost.parameters, 0) << row.cost.layer;
            EXPECT_GT(row.of_roof.value, 0) << row.cost.layer;
            EXPECT_GT(row.cost.executed_macs, 0);
            EXPECT_LE(row.cost.executed_macs, row.cost.macs);
            if (&table == &timed.tables[0]) {
                EXPECT_EQ(row.against_first.value, 1);
            }
        }
    EXPECT_EQ(convolutions, 40);
}

TEST(Executed, winograd_counts_36_products_for_a_tile_of_16_outputs) {
    const Kernels& k = kernels(Backend::cpu);
    const int block = k.block(64);
    const ConvShape s{.x = {.n = 16, .c = 64, .h = 30, .w = 30, .block = block},
                      .w = k.filter(64, 64, 3, 3, block),
                      .stride = 1,
                      .pad = 1,
                      .y_block = block};
    const ExecutedShare executed = executed_share(k, s, ConvPass::inference);
    EXPECT_EQ(executed_share(kernels(Backend::reference), s, ConvPass::inference).share, 1);
    ASSERT_EQ(executed.implementation, "winograd");
    EXPECT_DOUBLE_EQ(executed.share, 36.0 * 64 / (9 * 900));
}

}  // namespace
}  // namespace fp
