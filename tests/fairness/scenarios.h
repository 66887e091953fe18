// The populations that the statistics are simulated on, in the small by tests/fairness/test_coverage.cpp and in the
// large by bench/experiments/simulate. Shares are made up, in the shape of ISIC 2019's:
// MEL NV BCC AK BKL DF VASC SCC.
#pragma once

#include "tests/fairness/lesions.h"

namespace fp::testing {

// Two groups as the sexes, nearly of one case mix; two as the young and the old, of very different ones.
inline const GroupRates kSexMix{{.17, .55, .11, .03, .10, .01, .01, .02}, {.185, .47, .15, .033, .11, .009, .01, .033}};
inline const GroupRates kAgeMix{{.13, .70, .07, .01, .06, .01, .01, .01}, {.24, .24, .22, .065, .165, .01, .01, .05}};
inline const GroupRates kFourAgesMix{{.09, .83, .02, .002, .03, .012, .014, .002},
                                     {.15, .63, .10, .015, .075, .01, .01, .01},
                                     {.22, .31, .20, .06, .15, .01, .01, .04},
                                     {.26, .13, .29, .09, .15, .01, .01, .06}};
// Five body sites; the last two are tiny.
inline const GroupRates kSiteMix{{.195, .535, .155, .015, .065, .005, .01, .02},
                                 {.18, .55, .10, .015, .08, .025, .01, .04},
                                 {.18, .17, .25, .13, .22, .002, .008, .04},
                                 {.48, .44, .002, .015, .02, .001, .007, .035},
                                 {.31, .41, .005, .005, .23, .005, .03, .005}};
// The last four classes are as frequent as the first four.
inline const GroupRates kMirroredMix(2, Rates{.30, .12, .05, .03, .30, .12, .05, .03});

inline Rates even(int groups) { return Rates(size_t(groups), 1.0 / groups); }

// Recognises what ISIC's classifiers do about as well, whoever has it.
inline const Rates kIsicRates{.65, .90, .80, .55, .65, .50, .75, .50};
inline Classifier fair(const Rates& tpr, int groups) { return {.tpr = GroupRates(size_t(groups), tpr)}; }
inline Classifier fair(double tpr, int groups) { return fair(Rates(8, tpr), groups); }
// As fair(kIsicRates), with `factor` times the misses in every class.
inline Classifier fair_with_misses(double factor, int groups) {
    Rates tpr = kIsicRates;
    for (double& t : tpr) t = 1 - factor * (1 - t);
    return fair(tpr, groups);
}

// TPR around `tpr` that differ by `gap` between the first two groups, with alternating sign, in the classes from `first`
// to before `last`; the TPR of further groups lie between.
inline Classifier with_gap(double tpr, double gap, int groups, int first = 0, int last = 8) {
    Classifier out = fair(tpr, groups);
    for (int g = 0; g < groups; ++g)
        for (int c = first; c < last; ++c) {
            const double place = g == 0 ? .5 : g == 1 ? -.5 : g == 2 ? .2 : -.2;
            out.tpr[size_t(g)][size_t(c)] += (c % 2 ? -1 : 1) * place * gap;
        }
    return out;
}
// Its accuracy leans on the most frequent class, which the other classes are taken for.
inline Classifier drifting(int groups) {
    Rates tpr(8, .60);
    tpr[1] = .95;
    Classifier out = fair(tpr, groups);
    out.drift = .7;
    return out;
}

inline Population two_of(const GroupRates& mix, std::vector<Classifier> models) {
    return {.group_share = even(2), .mix = mix, .models = std::move(models)};
}
inline Population by_site(std::vector<Classifier> models) {
    return {.group_share = {.42, .31, .24, .02, .01}, .mix = kSiteMix, .models = std::move(models)};
}

struct Scenario {
    const char* name;
    Population population;
    int lesions;
};

// One model that depends on the diagnosis alone: nothing may be called unfair.
inline std::vector<Scenario> fair_models() {
    const Population four{.group_share = even(4), .mix = kFourAgesMix, .models = {fair(kIsicRates, 4)}};
    Population three = two_of(kAgeMix, {fair(kIsicRates, 2)});
    three.others = {2, 4};
    return {{"2 groups, one case mix", two_of(GroupRates(2, kSexMix[0]), {fair(kIsicRates, 2)}), 1000},
            {"2 groups as the sexes", two_of(kSexMix, {fair(kIsicRates, 2)}), 1000},
            {"2 groups as ages", two_of(kAgeMix, {fair(kIsicRates, 2)}), 1000},
            {"4 groups as ages", four, 1000},
            {"5 groups as sites, two tiny", by_site({fair(kIsicRates, 5)}), 1000},
            {"3 attributes", three, 1000}};
}

// Two models that are equally fair: neither may be called the fairer.
inline std::vector<Scenario> equally_fair() {
    const int n = 2500;
    Population other_classes = two_of(kMirroredMix, {with_gap(.79, .15, 2, 0, 4), with_gap(.79, .15, 2, 4, 8)});
    other_classes.majority = 0;
    return {
        {"exchangeable, no gap", two_of(kSexMix, {fair(.79, 2), fair(.79, 2)}), n},
        {"exchangeable, gap .15", two_of(kSexMix, {with_gap(.79, .15, 2), with_gap(.79, .15, 2)}), n},
        {"accuracy .88 and .70", two_of(kSexMix, {fair(.88, 2), fair(.70, 2)}), n},
        {"accuracy .88 and .70, case mix", two_of(kAgeMix, {fair_with_misses(.5, 2), fair_with_misses(1.25, 2)}), n},
        {"accuracy .88 and .70, 5 sites", by_site({fair_with_misses(.5, 5), fair_with_misses(1.25, 5)}), n},
        {"one drifts to the majority", two_of(kSexMix, {fair(.79, 2), drifting(2)}), n},
        {"one drifts, case mix", two_of(kAgeMix, {fair(kIsicRates, 2), drifting(2)}), n},
        {"equal gaps, different classes", other_classes, n}};
}

// The first model is the fairer one.
inline std::vector<Scenario> fairer() {
    const auto pair = [](double gap, double other, int last = 8) {
        return two_of(kSexMix, {with_gap(.79, gap, 2, 0, last), with_gap(.79, other, 2, 0, last)});
    };
    Population four{.group_share = even(4), .mix = GroupRates(4, kSexMix[0]), .models = {}};
    four.models = {with_gap(.79, .1, 4), with_gap(.79, .2, 4)};
    return {{"gap .2 to .1", pair(.1, .2), 2500},
            {"gap .15 to .05", pair(.05, .15), 2500},
            {"gap .1 to .03", pair(.03, .1), 2500},
            {"gap .2 to .1 in one class of 8", pair(.1, .2, 1), 2500},
            {"gap .2 to .1, 4 groups", four, 2500}};
}

}  // namespace fp::testing
