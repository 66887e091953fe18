// What a training run leaves beside its checkpoints: report.json and report.html, with curves, groups and data.
#pragma once

#include "engine/run/run_folder.h"
#include "engine/train/train.h"

namespace fp {

// References are to outlive the call of publish().
struct TrainReport {
    const Network& network;
    const Preprocessing& preprocessing;
    const ImageData& data;
    const FitOptions& options;
    const std::filesystem::path& folder;  // of the run, with its metrics.jsonl
    bool finished = true;                 // false: stopped, to be resumed
};

// Writes report.json and report.html:
//
// {"title","command","data","data_words","notes","classes","finished","best_epoch","model":{"spec","image_size",
//  "parameters","macs"},"layers":[{"layer","map":[h,w],"channels":[in,out],"parameters","macs","bytes"}...] (the
//  convolutions and linear layers, for one image),"training":settings,"counts":{SPLIT:{"images","units","classes":[n...],
//  "attributes":{NAME:{"groups":[...,"unknown"],"counts":[[n...]...]}}}},"curves":[row of metrics.jsonl...],"skipped",
//  "environment"}; counts are by class, then by group. "best_epoch" is null before the first epoch.
void publish(const TrainReport&, const Caller&);

}  // namespace fp
