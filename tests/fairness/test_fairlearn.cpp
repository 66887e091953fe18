// Fairlearn's figures where it defines them: two classes. The values and the command that made them are in
// fairlearn_values.py. Of two classes both have the same gaps, so our means over classes are its figures, and
// dp, a sum over classes, is twice its demographic parity difference.
#include <gtest/gtest.h>

#include "engine/fairness/evaluate.h"
#include "tests/fairness/simulate.h"
#include "tests/reference_values.h"

namespace fp {
namespace {

constexpr double kTolerance = 1e-12;

Predictions cases(int groups) {
    const testing::Formula u("fairlearn");
    Predictions p;
    p.classes = {"0", "1"};
    p.columns = {"group"};
    p.attributes.resize(1);
    for (uint64_t i = 0; i < 300; ++i) {
        const int label = int(2 * u.u(4 * i)), group = int(3 * u.u(4 * i + 2));
        if (group >= groups) continue;
        testing::add_case(p, label, u.u(4 * i + 1) < .75 ? label : 1 - label);
        p.attributes[0].push_back(std::to_string(group));
    }
    return p;
}

TEST(Fairlearn, TwoGroups) {
    const AttributeReport r = evaluate(cases(2), {"group"}, {.resamples = 0}).attribute("group");
    EXPECT_NEAR(r.gap("dp").value, 2 * 0.0044642857142856984, kTolerance);
    EXPECT_NEAR(r.gap("eodd_max").value, 0.032357473035439122, kTolerance);
    EXPECT_NEAR(r.gap("eodd_mean").value, 0.027971189347908237, kTolerance);
    EXPECT_NEAR(r.gap("accuracy").value, 0.0074404761904762751, kTolerance);
    EXPECT_NEAR(r.gap("pqd").value, 0.9899396378269617, kTolerance);
    EXPECT_NEAR(r.gap("balanced_accuracy").value, 0.0043862836875309119, kTolerance);
}

TEST(Fairlearn, ThreeGroups) {
    const AttributeReport r = evaluate(cases(3), {"group"}, {.resamples = 0}).attribute("group");
    EXPECT_NEAR(r.gap("dp").value, 2 * 0.096467391304347783, kTolerance);
    EXPECT_NEAR(r.gap("eodd_max").value, 0.12508474576271178, kTolerance);
    EXPECT_NEAR(r.gap("accuracy").value, 0.050465838509316852, kTolerance);
    EXPECT_NEAR(r.gap("pqd").value, 0.93551587301587291, kTolerance);
    EXPECT_NEAR(r.gap("balanced_accuracy").value, 0.044797539098786254, kTolerance);
    EXPECT_NEAR(r.group("2").metric("accuracy").value, 0.78260869565217395, kTolerance);
}

}  // namespace
}  // namespace fp
