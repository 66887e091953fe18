// Checkpoints that survive a crash at any moment. In the folder of a run:
//
//   step-120.safetensors   the complete model after step 120, as fp_eval and fp_prune read it
//   step-120.state         what else resuming needs: optimiser tensors, settings, position. Also safetensors,
//                          with the XXH3-128 of every section of both files
//   last.json              which step is `last`, `previous` and `best`; written after their files
//   last.safetensors       the models of those steps under a fixed name (hard links; copies where the
//   best.safetensors       file system has none)
//
// Every file is written under a temporary name, flushed and renamed; older ones are deleted only after last.json names
// the new one. If `last` is damaged, `previous` is used and a line of the log says so. Of several ranks the first saves,
// and all load: what it loads and saves in between must wait for them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "engine/io/safetensors.h"
#include "engine/run/checkpoint_json.h"
#include "engine/run/folder_writer.h"

namespace fp {

struct Checkpoint {
    int64_t step = 0;  // grows with every save of a run, over epochs and stages
    TensorFile model = {};
    std::vector<TensorEntry> state = {};  // momenta, averages
    std::string progress = "{}";          // JSON: epoch, position, best metric, ...
};

class CheckpointFolder {
public:
    // `log`, which may be empty, gets a line for each damaged file and for what is used instead, for noted settings
    // that differ, and one where models are copied because they cannot be linked.
    using Log = std::function<void(const std::string& line)>;
    CheckpointFolder(FolderWriter folder, Identity identity, Log log);

    // Makes this step `last`, the one before it `previous` and, if so, this one `best`.
    void save(const Checkpoint& checkpoint, bool best);

    // Reads `last`, or `previous` where `last` is damaged; nothing where nothing was saved. Exit::model where both are
    // damaged, where the best model of the steps until then is, which nothing makes again, and where the run that saved
    // them had other settings: "--resume: --lr was 0.05, is 0.1".
    std::optional<Checkpoint> load();
    std::optional<Checkpoint> load_best();

    // Removes what save() wrote: for a run that starts over.
    static void clear(const std::filesystem::path& folder);
    static bool is_own(const std::string& name);  // save() gives a file this name
    // One of the models in the folder whose header can be read; empty where none can.
    static std::string readable_model(const std::filesystem::path& folder);

private:
    template <class... Parts>
    void tell(const Parts&... parts) const {
        if (log_) log_(text(parts...));
    }
    SavedSteps read_steps() const;
    SavedSteps find_steps() const;
    Checkpoint read(int64_t step, Identity& identity) const;
    void name_models(const SavedSteps& steps, bool keep_last, bool keep_best);

    FolderWriter folder_;
    Identity identity_;
    Log log_;
    SavedSteps steps_;     // as last.json has them
    bool copies_ = false;  // where the file system has no links; it was said
};

}  // namespace fp
