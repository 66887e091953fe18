// Placebo groups keep the sizes of every cell, move lesions whole, and say nothing of the person.
#include "engine/data/placebo.h"

#include <gmock/gmock.h>

#include <map>

namespace fp {
namespace {

using ::testing::HasSubstr;

Dataset biased() { return open_dataset("synth:n=900,size=16,classes=3,groups=2,bias=0.9,views=3,seed=2"); }

TEST(Placebo, keeps_the_sizes_of_groups_in_each_class_and_split) {
    const Dataset set = biased();
    const Grouping is = groups_seen(set, "group", {}), seen = groups_seen(set, "group", 5);
    EXPECT_EQ(is.of, group_by(set, "group").of);
    EXPECT_NE(seen.of, is.of);
    EXPECT_EQ(seen.of, groups_seen(set, "group", 5).of);
    EXPECT_NE(seen.of, groups_seen(set, "group", 6).of);
    std::map<std::tuple<int, Split, int>, int> a, b;
    std::map<std::string, int> of_lesion;
    for (size_t i = 0; i < set.samples.size(); ++i) {
        const Sample& s = set.samples[i];
        ++a[{s.label, s.split, is.of[i]}], ++b[{s.label, s.split, seen.of[i]}];
        EXPECT_EQ(of_lesion.emplace(s.unit, seen.of[i]).first->second, seen.of[i]) << s.unit;  // lesions are whole
    }
    EXPECT_EQ(a, b);
}

// Within a class the permuted groups agree with the true ones as often as independent draws do: sum_g p_g^2.
TEST(Placebo, tells_nothing_of_the_true_group_given_the_class) {
    const Dataset set = open_dataset("synth:n=9000,size=16,classes=3,groups=2,bias=0.9,seed=2");
    const Grouping is = group_by(set, "group"), seen = groups_seen(set, "group", 5);
    for (int c = 0; c < 3; ++c) {
        double n = 0, first = 0, same = 0;
        for (const int64_t i : members(set, Split::train)) {
            if (set.samples[size_t(i)].label != c) continue;
            ++n;
            first += is.of[size_t(i)] == 0;
            same += is.of[size_t(i)] == seen.of[size_t(i)];
        }
        const double p = first / n;
        EXPECT_NEAR(same / n, p * p + (1 - p) * (1 - p), 0.04) << c;
    }
}

TEST(Placebo, unknown_groups_stay_unknown_and_an_unpaired_lesion_keeps_its_group) {
    // Lesion 9 is the only one of two images.
    const std::vector<int32_t> labels{0, 1, -1, 0, 1, 1, 1}, units{1, 2, 3, 4, 5, 9, 9};
    bool moved = false;
    for (uint64_t key = 0; key < 20; ++key) {
        const std::vector<int32_t> out = permuted_labels(labels, {}, units, key);
        EXPECT_EQ(out[2], -1);
        EXPECT_EQ(out[5], 1);
        EXPECT_EQ(out[6], 1);
        EXPECT_EQ(std::count(out.begin(), out.end(), 0), 2);
        moved = moved || out != labels;
    }
    EXPECT_TRUE(moved);
}

TEST(Placebo, says_what_it_is) {
    EXPECT_EQ(
        to_text({.seed = 7, .seen_by = {"scores", "sampler"}}),
        "placebo (seed 7): scores, sampler saw groups permuted among lesions within class; figures are by the true "
        "groups");
    const Dataset set = open_dataset("synth:n=3000,size=16,classes=2,groups=2,bias=0,seed=2");
    EXPECT_THAT(shares_kept(set, {"group"}, 5), ::testing::MatchesRegex("group (4[5-9]|5[0-5]) %"));
}

}  // namespace
}  // namespace fp
