#include "engine/data/sources/synth.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "engine/data/dataset.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

std::vector<uint8_t> image(const SynthSpec& spec, int64_t index) {
    std::vector<uint8_t> rgb(size_t(spec.size) * size_t(spec.size) * 3, 77);
    render(spec, index, rgb.data());
    return rgb;
}

TEST(Synth, ReadsItsSpecification) {
    const SynthSpec spec = parse_synth("n=10,size=32,classes=4,groups=3,bias=0.5,seed=9");
    EXPECT_EQ(spec, (SynthSpec{.n = 10, .size = 32, .classes = 4, .groups = 3, .bias = 0.5, .seed = 9}));
    EXPECT_EQ(parse_synth(""), SynthSpec{});
    EXPECT_EQ(parse_synth(to_string(spec)), spec);
    for (const char* bad : {"n=0", "n=ten", "n=1.5", "size=4", "classes=1", "classes=65", "groups=9", "bias=1.1",
                            "bias=nan", "seed=-1", "sise=3", "n=1,n=2", "what", "n="})
        testing::expect_error(
            Exit::usage, [&] { parse_synth(bad); }, "--data synth");
}

TEST(Synth, AnImageIsAFunctionOfSpecAndIndex) {
    const SynthSpec spec{.n = 20, .size = 32};
    SynthSpec larger = spec, other = spec;
    larger.n = 1000;
    other.seed = 2;
    for (int64_t i = 0; i < spec.n; ++i) {
        EXPECT_EQ(image(spec, i), image(spec, i));
        EXPECT_EQ(image(spec, i), image(larger, i));
        EXPECT_NE(image(spec, i), image(other, i));
        EXPECT_NE(image(spec, i), image(spec, (i + 1) % spec.n));
    }
}

TEST(Synth, WritesEveryPixelAtAnySize) {
    for (const int size : {8, 9, 31, 64, 100}) {
        const SynthSpec spec{.size = size};
        const std::vector<uint8_t> rgb = image(spec, 3);
        std::vector<uint8_t> again(rgb.size() + 16, 200);  // 16 bytes behind the end stay
        render(spec, 3, again.data());
        EXPECT_TRUE(std::equal(rgb.begin(), rgb.end(), again.begin()));
        EXPECT_EQ(std::vector<uint8_t>(again.end() - 16, again.end()), std::vector<uint8_t>(16, 200));
        double sum = 0, squares = 0;
        for (const uint8_t v : rgb) sum += v, squares += double(v) * v;
        const double mean = sum / double(rgb.size());
        EXPECT_GT(mean, 60);
        EXPECT_LT(mean, 220);
        EXPECT_GT(squares / double(rgb.size()) - mean * mean, 100);
    }
}

TEST(Synth, FewPixelsAreClipped) {
    const SynthSpec spec{.difficulty = 1};
    int64_t clipped = 0, all = 0;
    for (int64_t i = 0; i < 50; ++i)
        for (const uint8_t v : image(spec, i)) clipped += v == 0 || v == 255, ++all;
    EXPECT_LT(double(clipped) / double(all), 0.01);
}

using Cell = std::tuple<int, int, int>;  // split, class, group
std::map<Cell, int> cells(const SynthSpec& spec) {
    std::map<Cell, int> count;
    for (int64_t i = 0; i < spec.n; ++i) {
        const SynthIdentity id = identify(spec, i);
        const int split = id.fifth % 2 == 0 ? 0 : id.fifth == 1 ? 1 : 2;
        ++count[{split, id.label, id.group}];
    }
    return count;
}

TEST(Synth, WithoutBiasEveryCellIsEquallyLarge) {
    const SynthSpec spec{.n = 5 * 8 * 2 * 10, .bias = 0};
    for (const auto& [cell, count] : cells(spec)) EXPECT_EQ(count, std::get<0>(cell) == 0 ? 30 : 10);
    EXPECT_EQ(cells(spec).size(), 3u * 8 * 2);
}

TEST(Synth, BiasTiesHalfOfTheClassesInTrainAlone) {
    const SynthSpec spec{.n = 40'000, .bias = 0.8};
    auto count = cells(spec);
    for (int c = 0; c < 8; ++c) {
        const double own = count[{0, c, c % 2}], all = own + count[{0, c, 1 - c % 2}];
        EXPECT_NEAR(own / all, c < 4 ? 0.9 : 0.5, 0.02) << c;  // bias + (1 - bias) / 2
        EXPECT_EQ(all, 3000);
        for (int split : {1, 2}) EXPECT_EQ((count[{split, c, 0}]), (count[{split, c, 1}]));
    }
    const SynthSpec tied{.n = 4000, .classes = 2, .bias = 1};
    auto both = cells(tied);
    EXPECT_EQ((both[{0, 0, 1}]), 0);
    EXPECT_EQ((both[{0, 1, 0}]), 0);
}

TEST(Synth, ViewsShareALesion) {
    const SynthSpec spec{.n = 300, .views = 3};
    for (int64_t i = 0; i < spec.n; i += 3) {
        const SynthIdentity first = identify(spec, i), last = identify(spec, i + 2);
        EXPECT_EQ(first.lesion, last.lesion);
        EXPECT_EQ(first.label, last.label);
        EXPECT_EQ(first.group, last.group);
        EXPECT_EQ(first.fifth, last.fifth);
        EXPECT_NE(image(spec, i), image(spec, i + 2));
    }
}

// The mean of an image is near its skin, and the skin tells the group.
TEST(Synth, TheSkinTellsTheGroup) {
    const SynthSpec spec{.n = 200};
    double mean[2] = {0, 0};
    int count[2] = {0, 0};
    for (int64_t i = 0; i < spec.n; ++i) {
        const int g = identify(spec, i).group;
        for (const uint8_t v : image(spec, i)) mean[g] += v;
        ++count[g];
    }
    for (int g : {0, 1}) mean[g] /= double(count[g]) * 64 * 64 * 3;
    EXPECT_GT(mean[0], mean[1] + 35);
}

TEST(Synth, OpensAsADataSet) {
    const Dataset data = open_dataset("synth:n=100,classes=4,groups=3,views=2");
    ASSERT_TRUE(data.synth);
    EXPECT_EQ(data.samples.size(), 100u);
    EXPECT_EQ(data.classes, (std::vector<std::string>{"class00", "class01", "class02", "class03"}));
    EXPECT_EQ(data.columns, (std::vector<std::string>{"group", "lesion_id"}));
    EXPECT_EQ(members(data, Split::train).size(), 60u);
    EXPECT_EQ(members(data, Split::val).size(), 20u);
    EXPECT_EQ(members(data, Split::test).size(), 20u);
    EXPECT_EQ(data.samples[0].unit, data.samples[1].unit);
    for (size_t i = 0; i < data.samples.size(); ++i) {
        const SynthIdentity id = identify(*data.synth, int64_t(i));
        EXPECT_EQ(data.samples[i].label, id.label);
        EXPECT_EQ(data.samples[i].attributes[0], text("g", id.group));
    }
}

}  // namespace
}  // namespace fp
