// Thresholds of each group: offsets of the classes' log-probabilities, by group, chosen on validation and added after
// training.
//
//   prediction = argmax_c ( log p_c + o[group, c] )
//
// With two classes an offset is a threshold of the group, as in the post-processing of Hardt, Price and Srebro, 2016
// (https://arxiv.org/abs/1610.02413 ); with more it is the logit adjustment of Menon et al., 2021
// (https://arxiv.org/abs/2007.07314 ) per group. It must be told the group of each person whom it judges.
#pragma once

#include <string>
#include <vector>

#include "engine/fairness/predictions.h"

namespace fp {

struct GroupOffsets {
    struct OfGroup {
        std::string name;
        int64_t images = 0;            // of validation
        std::vector<double> offsets;   // by class; 0 for a class without truth in the group
        double before = 0, after = 0;  // balanced accuracy on validation, without and with the offsets
        std::string reason = {};       // why all are 0
    };
    std::string attribute;
    std::vector<std::string> classes;
    std::vector<OfGroup> groups;
    int64_t images = 0;                      // of validation
    std::string data = {}, split_hash = {};  // of these; empty: predictions from a file
};

// What the offsets are chosen for, and what their use asks for.
inline constexpr const char* kOffsetsObjective = "the largest balanced accuracy of each group on validation";
inline constexpr const char* kOffsetsNeedGroup =
    "a classifier with group offsets must be told the group of each person whom it judges";

// Coordinate ascent in each group, from 0: a class after the other takes the offset of the largest balanced accuracy
// (mean TPR over the classes with truth in the group), found exactly, and keeps its own unless another one is better;
// until none is. Of offsets that are as good the one nearest to 0. The optimum is local and depends on the predictions
// alone. Groups with fewer images than `min_group_size` or one class keep offsets of 0. Exit::data without
// probabilities, or where no group has offsets to choose.
GroupOffsets choose_group_offsets(const Predictions& validation, const std::string& attribute, int min_group_size);

// The same images with the probabilities softmax_c(log p_c + o) and their top classes. Images of unknown group, and of
// groups without offsets, stay as they are. Exit::data for other classes or without probabilities.
Predictions with_group_offsets(const Predictions&, const GroupOffsets&);

}  // namespace fp
