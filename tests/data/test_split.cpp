#include "engine/data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "engine/data/dataset.h"
#include "kernels/random.h"
#include "tests/data/folder.h"
#include "tests/shared.h"

namespace fp {
namespace {

// n samples of `classes` classes of falling size; lesions of 1 to 4 images, patients of 1 to 3 lesions.
Dataset population(int64_t n, int classes, uint64_t seed) {
    Dataset data;
    data.columns = {"patient_id", "sex"};
    for (int c = 0; c < classes; ++c) data.classes.push_back(text("c", c));
    const auto draw = [&](uint64_t bound, int64_t i, uint64_t what) {
        return uniform_below(bound, key_of(seed, what), uint64_t(i));
    };
    int64_t lesion = 0, patient = 0;
    while (int64_t(data.samples.size()) < n) {
        ++lesion;
        if (draw(2, lesion, 0) == 0) ++patient;
        const int label = int(std::min(draw(uint64_t(classes), lesion, 1), draw(uint64_t(classes), lesion, 2)));
        for (uint64_t views = 1 + draw(6, lesion, 3) / 3 * draw(3, lesion, 4); views > 0; --views)
            data.samples.push_back(Sample{.image = text("i", data.samples.size()),
                                          .label = label,
                                          .split = Split::train,
                                          .unit = text("lesion", lesion),
                                          .attributes = {text("patient", patient), "male"}});
    }
    return data;
}

std::string written(const Dataset& data) { return csv_text(split_table(data)); }

TEST(DrawnSplit, SameSeedSameBytes) {
    Dataset a = population(500, 4, 1), b = a, c = a;
    draw_split(a, 7);
    draw_split(b, 7);
    draw_split(c, 8);
    EXPECT_EQ(a.split_seed, 7u);
    EXPECT_EQ(written(a), written(b));
    EXPECT_NE(written(a), written(c));
}

TEST(DrawnSplit, TheOrderOfTheRowsDoesNotMatter) {
    Dataset a = population(500, 4, 1), b = a;
    std::reverse(b.samples.begin(), b.samples.end());
    draw_split(a, 7);
    draw_split(b, 7);
    std::reverse(b.samples.begin(), b.samples.end());
    EXPECT_EQ(written(a), written(b));
}

TEST(DrawnSplit, KeepsLesionsAndPatientsWhole) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
        Dataset data = population(300, 5, seed);
        draw_split(data, seed);
        EXPECT_TRUE(parted_units(data).empty());
    }
    Dataset data = population(300, 5, 1);
    for (size_t i = 0; i < data.samples.size(); ++i) data.samples[i].split = Split(i % 3);
    EXPECT_FALSE(parted_units(data).empty());
}

TEST(DrawnSplit, KeepsTiesThatAreAskedFor) {
    Dataset data = population(300, 5, 1);
    SampleSets ties;
    for (int64_t i = 0; i < 100; ++i) ties.push_back({i, 299 - i});
    draw_split(data, 1, ties);
    for (const auto& set : ties) EXPECT_EQ(data.samples[size_t(set[0])].split, data.samples[size_t(set[1])].split);
    EXPECT_TRUE(parted_units(data).empty());
}

TEST(DrawnSplit, SpreadsEveryClass) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
        Dataset data = population(4000, 6, seed);
        draw_split(data, seed);
        std::map<int, double> size;
        std::map<std::pair<int, Split>, double> count;
        for (const Sample& s : data.samples) ++size[s.label], ++count[{s.label, s.split}];
        for (const auto& [label, all] : size) {
            EXPECT_NEAR((count[{label, Split::train}]), 0.6 * all, 3) << label;
            EXPECT_NEAR((count[{label, Split::val}]), 0.2 * all, 3) << label;
            EXPECT_NEAR((count[{label, Split::test}]), 0.2 * all, 3) << label;
        }
    }
}

// A split that gave the large groups to train would test on another population than it trained on.
TEST(DrawnSplit, SpreadsLargeAndSmallGroupsAlike) {
    Dataset data = population(4000, 3, 2);
    draw_split(data, 2);
    std::map<std::string_view, int> size;
    for (const Sample& s : data.samples) ++size[s.attributes[0]];
    double large[3] = {}, all[3] = {};
    for (const Sample& s : data.samples) {
        ++all[int(s.split)];
        large[int(s.split)] += size[s.attributes[0]] > 3;
    }
    for (int part : {0, 1, 2}) {
        EXPECT_GT(large[part] / all[part], 0.2);
        EXPECT_NEAR(large[part] / all[part], large[0] / all[0], 0.03);
    }
}

// Samples on their own: exact quotas for every class, whatever the seed.
TEST(DrawnSplit, IsExactWithoutTies) {
    std::vector<std::string> names;
    for (int i = 0; i < 350; ++i) names.push_back(text("s", i));
    std::vector<Tied> tied;
    for (int i = 0; i < 350; ++i) tied.push_back({i < 300 ? 0 : i < 340 ? 1 : 2, i, names[size_t(i)]});
    for (uint64_t seed = 0; seed < 10; ++seed) {
        const std::vector<int> part = stratified_parts(tied, {0.6, 0.2, 0.2}, seed);
        int count[3][3] = {};
        for (size_t i = 0; i < part.size(); ++i) ++count[tied[i].label][part[i]];
        EXPECT_EQ(count[0][0], 180);
        EXPECT_EQ(count[0][1], 60);
        EXPECT_EQ(count[1][0], 24);
        EXPECT_EQ(count[1][2], 8);
        EXPECT_EQ(count[2][0], 6);
        EXPECT_EQ(count[2][1], 2);
    }
}

// Nothing but the seed decides who is where: each of 50 samples is in test about a fifth of the time.
TEST(DrawnSplit, EverySampleHasTheSameChance) {
    std::vector<int> in_test(50, 0);
    std::vector<std::string> names;
    for (int i = 0; i < 50; ++i) names.push_back(text("s", i));
    std::vector<Tied> tied;
    for (int i = 0; i < 50; ++i) tied.push_back({0, i, names[size_t(i)]});
    for (uint64_t seed = 0; seed < 1000; ++seed) {
        const auto part = stratified_parts(tied, {0.6, 0.2, 0.2}, seed);
        for (size_t i = 0; i < 50; ++i) in_test[i] += part[i] == 2;
    }
    for (const int times : in_test) EXPECT_NEAR(times, 200, 5 * 12.7);  // sd of Binomial(1000, .2)
}

TEST(DrawnSplit, OpensAgainFromItsCsv) {
    const Folder folder;
    Dataset data = population(200, 3, 4);
    draw_split(data, 3);
    write_csv(folder / "split.csv", split_table(data));
    const Dataset back = open_dataset("csv:" + (folder / "split.csv").string());
    EXPECT_EQ(split_hash(back), split_hash(data));
    EXPECT_EQ(back.columns, data.columns);
}

TEST(DrawnSplit, OtherSplitsAndLabelsAreKeptUnderAnotherName) {
    const Folder folder;
    const std::string file = folder.write("t.csv", "image,label,split,kind\na,x,train,k\nb,y,test,k\n");
    const Table table = split_table(open_dataset("csv:" + file + ",split=none,label=kind"));
    EXPECT_EQ(table.header, (std::vector<std::string>{"image", "label", "split", "label_before", "split_before"}));
    EXPECT_EQ(table.rows[1][3], "y");
    EXPECT_EQ(table.rows[1][4], "test");
}

TEST(DrawnSplit, Isic2019KeepsItsLesions) {
    if (!shared_folder()) GTEST_SKIP() << "no shared folder: set FP_SHARED";
    const std::string file = (*shared_folder() / "data" / "isic2019-84" / "dataset.csv").string();
    const Dataset data = open_dataset("csv:" + file + ",split=none", {.split_seed = 5});
    EXPECT_EQ(data.split_seed, 5u);
    EXPECT_TRUE(parted_units(data).empty());
    std::vector<double> size(8, 0), in_train(8, 0), in_test(8, 0);
    for (const Sample& s : data.samples) {
        ++size[size_t(s.label)];
        in_train[size_t(s.label)] += s.split == Split::train;
        in_test[size_t(s.label)] += s.split == Split::test;
    }
    for (size_t c = 0; c < 8; ++c) {
        EXPECT_NEAR(in_train[c] / size[c], 0.6, 0.01) << data.classes[c];
        EXPECT_NEAR(in_test[c] / size[c], 0.2, 0.01) << data.classes[c];
    }
}

}  // namespace
}  // namespace fp
