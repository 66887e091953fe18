#include <gmock/gmock.h>

#include "engine/report/predicted_images.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

using ::testing::HasSubstr;

PredictedImages some() {
    PredictedImages out{.predictions = {.classes = {"MEL", "NV", "BCC"},
                                        .image = {"a.jpg", "b.jpg"},
                                        .unit = {"a.jpg", "b.jpg"},
                                        .label = {-1, -1},
                                        .pred = {0, 1},
                                        .prob = {.5, .25, .25, .25, .75, 0},
                                        .columns = {},
                                        .attributes = {},
                                        .split = {"", ""}},
                        .thresholds = {{"BCC", {.positive = "BCC", .rule = "f1", .value = .25, .chosen_on = {}}}},
                        .skipped = {{"c.jpg", "c.jpg: the file is empty"}}};
    apply_thresholds(out);
    return out;
}

TEST(PredictedImages, text_shows_the_most_probable_classes_and_thresholds) {
    EXPECT_EQ(to_text(some(), 2),
              "a.jpg: MEL 0.5000, NV 0.2500; BCC is positive (0.2500 >= 0.25)\n"
              "b.jpg: NV 0.7500, MEL 0.2500; BCC is negative (0.0000 < 0.25)\n");
    EXPECT_EQ(counts_text(some()), "2 images: MEL 1, NV 1, BCC 0; positive at the threshold: BCC 1\n");
}

TEST(PredictedImages, a_threshold_is_a_column) {
    const Predictions p = some().predictions;
    EXPECT_EQ(p.columns, std::vector<std::string>{"positive_BCC"});
    EXPECT_EQ(p.attributes[0], (std::vector<std::string>{"1", "0"}));
    PredictedImages other = some();
    other.thresholds = {{"SCC", {}}};
    testing::expect_error(
        Exit::usage, [&] { apply_thresholds(other); }, "no class `SCC`, only MEL, NV, BCC");
}

TEST(PredictedImages, json_has_labels_where_there_are_some) {
    PredictedImages images = some();
    EXPECT_THAT(json_text(images, 1), HasSubstr("\"c.jpg: the file is empty\""));
    EXPECT_THAT(json_text(images, 1), ::testing::Not(HasSubstr("\"label\"")));
    images.predictions.label = {1, 2};
    EXPECT_THAT(json_text(images, 1), HasSubstr("\"label\": \"NV\""));
    EXPECT_THAT(to_text(images, 1), HasSubstr("a.jpg: MEL 0.5000; label NV; BCC"));
}

TEST(PredictedImages, equal_probabilities_keep_the_order_of_the_classes) {
    const double p[] = {.2, .4, .4};
    EXPECT_EQ(top_classes(p, 3, 9), (std::vector<int>{1, 2, 0}));
}

}  // namespace
}  // namespace fp
