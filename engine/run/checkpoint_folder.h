// Checkpoints that survive a crash at any moment. In the folder of a run:
//
//   step-120.safetensors   the model after step 120; complete, what fp_eval and fp_prune take
//   step-120.state         what resuming needs besides: optimiser tensors, settings, position; also
//                          safetensors, with the XXH3-128 of every section of both files
//   last.json              which step is `last`, `previous` and `best`; written after those it names
//   last.safetensors       the models of those steps under a fixed name (hard links; copies where the
//   best.safetensors       file system has none)
//
// Every file is written beside its name, flushed and renamed, and older ones go only after last.json
// names the new one. A damaged `last` gives way to `previous`, in words.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>

#include "engine/io/safetensors.h"

namespace fp {

struct Checkpoint {
    int64_t step = 0;  // grows with every save of a run, over epochs and stages
    TensorFile model;
    std::vector<TensorEntry> state;   // momenta, averages
    nlohmann::ordered_json progress;  // epoch, position, best metric, ...: finite numbers only
};

class CheckpointFolder {
public:
    // `identity` is what a run must share with the one that it resumes: spec, settings, data.
    // `log` gets a line for what was damaged and what is used instead.
    CheckpointFolder(std::filesystem::path folder,
                     nlohmann::ordered_json identity,
                     std::ostream& log);

    // Makes this step `last`, the one before it `previous` and, if so, this one `best`.
    void save(const Checkpoint& checkpoint, bool best);

    // `last`, or `previous` where it is damaged; nothing where nothing was saved. Both damaged, or
    // another identity: an Error with Exit::model that says why, or what differs.
    std::optional<Checkpoint> load();
    std::optional<Checkpoint> load_best();

    // Removes what save() wrote: for a run that starts over.
    static void clear(const std::filesystem::path& folder);

private:
    struct Steps {
        std::optional<int64_t> last = {}, previous = {}, best = {};
    };
    Steps read_steps() const;
    Steps find_steps() const;
    Checkpoint read(int64_t step, nlohmann::ordered_json& identity) const;
    void name_models(const Steps& steps) const;

    std::filesystem::path folder_;
    nlohmann::ordered_json identity_;
    std::ostream& log_;
    Steps steps_;  // as last.json has them
};

// What a state file says beside its tensors. `model` and `state` hold the sections' hashes.
struct StateDescription {
    int64_t step = 0;
    nlohmann::ordered_json identity, progress;
    std::map<std::string, std::string> model, state;
};
StateDescription parse_description(std::string_view text, const std::string& file_name);

// The XXH3-128 of every tensor (name, dtype, shape and data) and, under "__metadata__", of the metadata.
std::map<std::string, std::string> section_hashes(const TensorFile& file);

// Where two JSON values differ: "spec.classes: 8, now 114; ..."; empty where they are equal.
std::string difference(const nlohmann::ordered_json& saved, const nlohmann::ordered_json& now);

}  // namespace fp
