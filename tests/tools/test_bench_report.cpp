// The tables of fp_bench --layers: whole names and a space between columns, within 80 columns.
#include "tools/bench_report.h"

#include <gmock/gmock.h>

#include <sstream>

#include "engine/report/text_rows.h"

namespace fp {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

TimedRow row_of(const std::string& layer, int channels, int side, double macs, double seconds) {
    TimedRow row{.cost = {.layer = layer,
                          .op = "conv2d",
                          .in_channels = channels,
                          .out_channels = channels,
                          .height = side,
                          .width = side,
                          .macs = macs,
                          .bytes = 1e9}};
    row.seconds = {.value = seconds, .low = seconds / 2, .high = seconds * 1.5};
    row.of_roof = {.value = .98, .low = .9, .high = .99};
    row.against_first = {.value = 1.25, .low = 1.11, .high = 1.35};
    return row;
}

BenchReport report_of(const std::vector<TimedRow>& rows) {
    return {.models = {{.checkpoint = "a", .arch = "resnet50", .totals = {}},
                       {.checkpoint = "b", .arch = "x", .totals = {}}},
            .measured = {},
            .layers = {.tables = {{.name = "a", .rows = rows}, {.name = "b", .rows = rows}}},
            .kernels = kernels(Backend::cpu),
            .image_size = 224,
            .layers_batch_size = 1,
            .print_layers = true};
}

TEST(BenchReport, LayersHaveTheirWholeNames) {
    const std::string text = to_text(report_of({row_of("layer1.0.downsample.0", 256, 56, 51e6, .0123),
                                                row_of("layer4.0.downsample.0", 2048, 7, 103e6, .001)}));
    for (const char* name : {"layer1.0.downsample.0 ", "layer4.0.downsample.0 "}) {
        size_t found = 0;
        for (size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) ++found;
        EXPECT_EQ(found, 3u) << name << " in a table of each model and in that of both";
    }
    EXPECT_THAT(text, ContainsRegex("layer4.0.downsample.0 2048>2048 +7x7 +103.0 +1000 +1.000 +50%"));
}

TEST(BenchReport, LargeNumbersLoseDigitsAndNotTheirSpace) {
    TimedRow noise = row_of("noise", 8, 8, 1, .001);
    noise.seconds.high = .03;
    const std::string text =
        to_text(report_of({noise, row_of("a_layer_of_somebody_with_a_long_name", 2048, 224, 1.2345e10, 9.8765),
                           row_of("conv1", 64, 112, 1849.7e6, .1234567)}));
    EXPECT_THAT(text, ContainsRegex("a_layer_of_somebody_~ 2048>2048 224x224 12345 +1000 +9876"));
    EXPECT_THAT(text, ContainsRegex("noise +8>8 +8x8 +0.0 +1000 +1.000 >1x "));
    EXPECT_THAT(text, ContainsRegex("conv1 +64>64 112x112 +1850 +1000 123.46 "));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(columns_of(line), kLine) << line;
}

}  // namespace
}  // namespace fp
