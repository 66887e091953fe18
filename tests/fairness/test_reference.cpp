// Figures computed with other people's software on the same predictions: the official code of the paper, and
// scikit-learn (tests/golden).
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/eval/predictions_file.h"
#include "engine/fairness/evaluate.h"
#include "tests/golden/golden.h"

namespace fp {
namespace {

constexpr double kTolerance = 1e-12;

class Reference : public ::testing::TestWithParam<int> {
protected:
    void SetUp() override {
        entry_ = nlohmann::json::parse(testing::golden("fairness.json")).at(GetParam());
        const std::string file = entry_["file"];
        report_ = evaluate(predictions_of(parse_csv(testing::golden(file), file)), {"sex"}, {.resamples = 0});
    }
    double released(const char* key) const { return entry_["released"][key]; }
    double sklearn(const char* key) const { return entry_["sklearn"][key]; }

    nlohmann::json entry_;
    Report report_;
};

TEST_P(Reference, ScikitLearn) {
    EXPECT_EQ(report_.samples, entry_["n"]);
    EXPECT_EQ(int(report_.classes.size()), entry_["classes"]);
    for (const char* key : {"accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1"})
        EXPECT_NEAR(report_.metric(key).value, sklearn(key), kTolerance) << key;
    EXPECT_NEAR(report_.metric("macro_auc").value, sklearn("macro_auc_ovr"), kTolerance);
}

TEST_P(Reference, ReleasedGaps) {
    const AttributeReport& sex = report_.attribute("sex");
    EXPECT_NEAR(sex.gap("eopp0").value, released("fairness/EOpp0_abs"), kTolerance);
    EXPECT_NEAR(sex.gap("eopp1").value, released("fairness/EOpp1_abs"), kTolerance);
    EXPECT_NEAR(sex.gap("eodd").value, released("fairness/EOdds_abs"), kTolerance);
    EXPECT_NEAR(sex.gap("dp").value, released("fairness/DP_abs"), kTolerance);
}

TEST_P(Reference, ReleasedGroups) {
    const AttributeReport& sex = report_.attribute("sex");
    ASSERT_EQ(sex.groups[0].name, entry_["group0"]);
    ASSERT_EQ(sex.groups[1].name, entry_["group1"]);
    for (int g : {0, 1}) {
        const std::string group = "group" + std::to_string(g), macro = "accuracy/" + group;
        const GroupReport& report = sex.groups[g];
        EXPECT_NEAR(report.metric("accuracy").value, released((group + "_accuracy").c_str()), kTolerance);
        EXPECT_NEAR(report.metric("macro_recall").value, released((macro + "_recall").c_str()), kTolerance);
        EXPECT_NEAR(report.metric("macro_precision").value, released((macro + "_precision").c_str()), kTolerance);
        EXPECT_NEAR(report.metric("macro_f1").value, released((macro + "_f1-score").c_str()), kTolerance);
    }
}

INSTANTIATE_TEST_SUITE_P(Files, Reference, ::testing::Values(0, 1, 2));

}  // namespace
}  // namespace fp
