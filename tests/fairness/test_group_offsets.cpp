// Offsets per group: against every offset on a grid, by hand, and what they leave alone.
#include "engine/fairness/group_offsets.h"

#include <gmock/gmock.h>

#include <cmath>

#include "kernels/random.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using testing::expect_error;

// Labels, groups and probabilities of the classes x and y (and z).
Predictions predictions(const std::vector<std::string>& classes) {
    return {.classes = classes,
            .image = {},
            .unit = {},
            .label = {},
            .pred = {},
            .prob = {},
            .columns = {"sex"},
            .attributes = {{}},
            .split = {}};
}
void add(Predictions& p, int label, const std::string& group, const std::vector<double>& prob) {
    p.image.push_back(std::to_string(p.image.size()));
    p.unit.push_back(p.image.back());
    p.label.push_back(label);
    p.prob.insert(p.prob.end(), prob.begin(), prob.end());
    p.pred.push_back(top_class(prob.data(), int(prob.size())));
    p.attributes[0].push_back(group);
}

// For group a, y stands out above 0.3 and for b above 0.8.
Predictions two_thresholds() {
    Predictions p = predictions({"x", "y"});
    for (const double y : {0.1, 0.2, 0.25}) add(p, 0, "a", {1 - y, y});
    for (const double y : {0.35, 0.4, 0.9}) add(p, 1, "a", {1 - y, y});
    for (const double y : {0.3, 0.6, 0.75}) add(p, 0, "b", {1 - y, y});
    for (const double y : {0.85, 0.9}) add(p, 1, "b", {1 - y, y});
    add(p, 1, "", {0.6, 0.4});
    return p;
}

double balanced_accuracy(const Predictions& p, const std::string& group) {
    std::vector<double> right(p.classes.size(), 0.0), all(p.classes.size(), 0.0);
    for (int64_t i = 0; i < p.size(); ++i) {
        if (p.attributes[0][size_t(i)] != group) continue;
        ++all[size_t(p.label[size_t(i)])];
        right[size_t(p.label[size_t(i)])] += p.pred[size_t(i)] == p.label[size_t(i)];
    }
    double sum = 0, classes = 0;
    for (size_t c = 0; c < all.size(); ++c)
        if (all[c] > 0) sum += right[c] / all[c], ++classes;
    return sum / classes;
}

TEST(GroupOffsets, each_group_gets_the_threshold_that_parts_its_classes) {
    const Predictions p = two_thresholds();
    const GroupOffsets o = choose_group_offsets(p, "sex", 2);
    ASSERT_EQ(o.groups.size(), 2u);
    EXPECT_EQ(o.groups[0].name, "a");
    EXPECT_EQ(o.groups[0].images, 6);
    EXPECT_NEAR(o.groups[0].before, (1 + 1 / 3.0) / 2, 1e-12);
    EXPECT_NEAR(o.groups[1].before, (1 / 3.0 + 1) / 2, 1e-12);
    const Predictions q = with_group_offsets(p, o);
    for (const int g : {0, 1}) {
        EXPECT_NEAR(o.groups[size_t(g)].after, 1, 1e-12);
        EXPECT_NEAR(balanced_accuracy(q, g == 0 ? "a" : "b"), 1, 1e-12);
    }
    // The offset of the first class that helps lies halfway between the log-odds that it parts.
    const auto odds = [](double y) { return std::log(y / (1 - y)); };
    EXPECT_NEAR(o.groups[0].offsets[0] - o.groups[0].offsets[1], (odds(0.25) + odds(0.35)) / 2, 1e-12);
    EXPECT_NEAR(o.groups[1].offsets[0] - o.groups[1].offsets[1], (odds(0.75) + odds(0.85)) / 2, 1e-12);
    // The image of unknown group stays as it was, and probabilities still sum to 1.
    EXPECT_EQ(q.prob[22], 0.6);
    EXPECT_EQ(q.pred[11], 0);
    for (int64_t i = 0; i < q.size(); ++i) EXPECT_NEAR(q.row(i)[0] + q.row(i)[1], 1, 1e-12);
}

// Three classes at random: never worse than without, the same each time, and no single offset on a fine grid is better.
TEST(GroupOffsets, no_single_class_can_be_moved_to_a_better_place) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        Predictions p = predictions({"x", "y", "z"});
        for (uint64_t i = 0; i < 60; ++i) {
            const auto u = [&](uint64_t j) { return uniform_double(seed, 10 * i + j); };
            const int label = int(3 * u(0));
            std::vector<double> prob{u(1) + 0.1, u(2) + 0.1, 0.3 * u(3) + 0.1};
            prob[size_t(label)] += 0.4;
            const double sum = prob[0] + prob[1] + prob[2];
            for (double& v : prob) v /= sum;
            add(p, label, u(4) < 0.5 ? "a" : "b", prob);
        }
        const GroupOffsets o = choose_group_offsets(p, "sex", 2), again = choose_group_offsets(p, "sex", 2);
        for (size_t g = 0; g < 2; ++g) {
            const GroupOffsets::OfGroup& group = o.groups[g];
            EXPECT_EQ(group.offsets, again.groups[g].offsets);
            EXPECT_GE(group.after, group.before);
            EXPECT_NEAR(balanced_accuracy(with_group_offsets(p, o), group.name), group.after, 1e-12);
            for (size_t c = 0; c < 3; ++c)
                for (double at = -4; at <= 4; at += 0.01) {
                    GroupOffsets moved = o;
                    moved.groups[g].offsets[c] = at;
                    EXPECT_LE(balanced_accuracy(with_group_offsets(p, moved), group.name), group.after + 1e-9)
                        << seed << " " << group.name << " " << c << " " << at;
                }
        }
    }
}

TEST(GroupOffsets, what_is_right_already_is_left_alone) {
    Predictions p = predictions({"x", "y", "z"});
    for (int i = 0; i < 5; ++i) {
        add(p, 0, "a", {0.9, 0.05, 0.05});
        add(p, 1, "a", {0.1, 0.8, 0.1});
        add(p, 0, "b", {0.4, 0.6, 0});  // of one class alone
    }
    const GroupOffsets o = choose_group_offsets(p, "sex", 2);
    EXPECT_THAT(o.groups[0].offsets, ElementsAre(0, 0, 0));
    EXPECT_THAT(o.groups[1].offsets, Each(0));
    EXPECT_EQ(o.groups[1].reason, "fewer than two classes on validation");
    EXPECT_EQ(with_group_offsets(p, o).pred, p.pred);
}

// A class that validation does not show in a group is not given up there.
TEST(GroupOffsets, a_class_without_truth_keeps_its_offset) {
    Predictions p = predictions({"x", "y", "z"});
    for (int i = 0; i < 5; ++i) {
        add(p, 0, "a", {0.3, 0.2, 0.5});
        add(p, 1, "a", {0.2, 0.7, 0.1});
    }
    const GroupOffsets o = choose_group_offsets(p, "sex", 2);
    EXPECT_EQ(o.groups[0].offsets[2], 0);
    EXPECT_GT(o.groups[0].offsets[0], 0);
    EXPECT_NEAR(o.groups[0].after, 1, 1e-12);
}

TEST(GroupOffsets, what_cannot_be_chosen_is_an_error) {
    Predictions p = two_thresholds();
    EXPECT_EQ(choose_group_offsets(p, "sex", 6).groups[1].reason, "n=5 < 6");
    expect_error(
        Exit::data, [&] { choose_group_offsets(p, "sex", 7); }, "no group of sex");
    const GroupOffsets o = choose_group_offsets(p, "sex", 2);
    Predictions other = p;
    other.classes = {"u", "v"};
    expect_error(
        Exit::data, [&] { with_group_offsets(other, o); }, "classes");
    p.prob.clear();
    expect_error(
        Exit::data, [&] { choose_group_offsets(p, "sex", 2); }, "probabilities");
}

}  // namespace
}  // namespace fp
