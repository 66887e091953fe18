#include "engine/run/checkpoint_folder.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <system_error>

#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "engine/io/temporaries.h"
#include "engine/io/weights_file.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPointers = "last.json";
constexpr const char* kNamed[] = {kPointers, "last.safetensors", "best.safetensors"};
constexpr uint64_t kPointerBytes = 4096;

fs::path model_path(const fs::path& folder, int64_t step) {
    return folder / ("step-" + std::to_string(step) + ".safetensors");
}
fs::path state_path(const fs::path& folder, int64_t step) {
    return folder / ("step-" + std::to_string(step) + ".state");
}

// The step of a file that save() wrote, if it is one.
std::optional<int64_t> step_in_name(const fs::path& path) {
    const std::string stem = path.stem().native(), extension = path.extension().native();
    if (!stem.starts_with("step-") || (extension != ".safetensors" && extension != ".state")) return std::nullopt;
    int64_t step = 0;
    const char* const end = stem.data() + stem.size();
    const auto [last, error] = std::from_chars(stem.data() + 5, end, step);
    if (error != std::errc() || last != end || step < 0) return std::nullopt;
    return step;
}

template <class Visit>
void for_each_step_file(const fs::path& folder, const Visit& visit) {
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    FP_REQUIRE(!error, Exit::model, shown(folder), ": ", error.message());
    for (const fs::directory_entry& entry : entries)
        if (const auto step = step_in_name(entry.path())) visit(entry.path(), *step);
}

void remove_file(const fs::path& path) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) fail_system(path, "cannot be removed", errno, Exit::model);
}

// Gives `from` a second name; returns why that had to be a copy, empty where it is a link. What has that name already
// is replaced, except, with `keep`, a file that is no link: a tool has written there (fp_eval --store-threshold).
std::string link_as(const fs::path& from, const fs::path& to, bool keep) {
    std::error_code error;
    if (fs::equivalent(from, to, error) || (keep && fs::hard_link_count(to, error) == 1)) return "";
    const fs::path temporary = temporary_beside(to);
    fs::create_hard_link(from, temporary, error);
    if (error) {  // file systems differ in the reason that they give for having no links
        write_safetensors(to, read_safetensors(from));
        return error.message();
    }
    fs::rename(temporary, to, error);
    if (!error) return "";
    unlink(temporary.c_str());
    fail_system(to, "cannot be put in place", error.value(), Exit::model);
}

}  // namespace

CheckpointFolder::CheckpointFolder(FolderWriter folder, Identity identity, Log log)
    : folder_(std::move(folder)), identity_(std::move(identity)), log_(std::move(log)) {}

void CheckpointFolder::save(const Checkpoint& checkpoint, bool best) {
    if (!folder_.writes()) return;
    const int64_t step = checkpoint.step;
    remove_stale_temporaries(folder_.path(), Exit::model);

    TensorFile state{.tensors = checkpoint.state};
    const std::string description = to_text(StateDescription{.step = step,
                                                             .identity = identity_,
                                                             .progress = checkpoint.progress,
                                                             .model = section_hashes(checkpoint.model),
                                                             .state = section_hashes(state)});
    state.metadata = {{"checkpoint", description}, {"xxh3", xxh3(as_bytes(description))}};
    write_safetensors(model_path(folder_.path(), step), checkpoint.model);
    write_safetensors(state_path(folder_.path(), step), state);

    SavedSteps steps = steps_;
    if (steps.last != step) steps.previous = steps.last;
    steps.last = step;
    if (best) steps.best = step;
    name_models(steps, false, !best);
    write_file(folder_ / kPointers, to_text(steps), Exit::model);
    steps_ = steps;

    for_each_step_file(folder_.path(), [&](const fs::path& path, int64_t found) {
        if (found != steps.last && found != steps.previous && found != steps.best) remove_file(path);
    });
}

std::optional<Checkpoint> CheckpointFolder::load() {
    if (folder_.writes()) remove_stale_temporaries(folder_.path(), Exit::model);
    const SavedSteps saved = steps_ = read_steps();
    if (!saved.last) return std::nullopt;
    std::string reasons;
    for (const std::optional<int64_t> step : {saved.last, saved.previous}) {
        if (!step) continue;
        std::optional<Checkpoint> checkpoint;
        Identity identity;
        try {
            checkpoint = read(*step, identity);
        } catch (const Error& error) {
            if (error.exit != Exit::model) throw;
            reasons += (reasons.empty() ? "" : "; ") + std::string(error.what());
            tell(error.what());
            continue;
        }
        if (step != saved.last) {
            tell("resuming from the checkpoint before it, step ", *step);
            steps_.last = step;
            steps_.previous = std::nullopt;
        }
        identity = as_listed(identity, identity_);
        const std::string other = difference(identity.settings, identity_.settings);
        FP_REQUIRE(other.empty(), Exit::model, "--resume: ", other);
        const std::string noted = difference(identity.noted, identity_.noted);
        if (!noted.empty()) tell("--resume: ", noted);
        if (folder_.writes()) name_models(steps_, step == saved.last, true);
        if (steps_.best && *steps_.best <= *step) {  // a later one will be saved again
            const fs::path best = folder_ / "best.safetensors";
            check_model(read_safetensors(best), shown(best));
        }
        return checkpoint;
    }
    fail_with(Exit::model, shown(folder_.path()), ": no checkpoint can be read: ", reasons);
}

std::optional<Checkpoint> CheckpointFolder::load_best() {
    const SavedSteps steps = read_steps();
    if (!steps.best) return std::nullopt;
    Identity identity;
    return read(*steps.best, identity);
}

void CheckpointFolder::clear(const fs::path& folder) {
    remove_stale_temporaries(folder, Exit::model);
    for (const char* name : kNamed) remove_file(folder / name);
    for_each_step_file(folder, [](const fs::path& path, int64_t) { remove_file(path); });
}

bool CheckpointFolder::is_own(const std::string& name) {
    return std::ranges::find(kNamed, name) != std::end(kNamed) || step_in_name(name);
}

std::string CheckpointFolder::readable_model(const fs::path& folder) {
    std::string out;
    if (fs::is_directory(folder))
        for_each_step_file(folder, [&](const fs::path& path, int64_t) {
            if (!out.empty() || path.extension() != ".safetensors") return;
            try {
                read_metadata(path);
                out = path.string();
            } catch (const Error& error) {  // load() says what is damaged
                if (error.exit != Exit::model) throw;
            }
        });
    return out;
}

SavedSteps CheckpointFolder::read_steps() const {
    const fs::path path = folder_ / kPointers;
    if (!fs::exists(path)) return find_steps();
    try {
        return parse_steps(read_file(path, kPointerBytes, Exit::model), shown(path));
    } catch (const Error& error) {
        tell(error.what(), "; taking the highest steps there are");
        return find_steps();
    }
}

// What the names in the folder tell where last.json cannot.
SavedSteps CheckpointFolder::find_steps() const {
    std::vector<int64_t> found;
    SavedSteps steps;
    for_each_step_file(folder_.path(), [&](const fs::path& path, int64_t step) {
        std::error_code missing;
        if (path.extension() == ".state") found.push_back(step);
        if (fs::equivalent(path, folder_ / "best.safetensors", missing)) steps.best = step;
    });
    std::sort(found.rbegin(), found.rend());
    if (found.size() > 0) steps.last = found[0];
    if (found.size() > 1) steps.previous = found[1];
    return steps;
}

Checkpoint CheckpointFolder::read(int64_t step, Identity& identity) const {
    const std::string file = shown(state_path(folder_.path(), step));
    TensorFile state = read_safetensors(state_path(folder_.path(), step));
    const std::string text = state.metadata["checkpoint"], saved = state.metadata["xxh3"];
    const std::string hash = xxh3(as_bytes(text));
    FP_REQUIRE(hash == saved, Exit::model, file, ": its description is damaged: XXH3-128 is ", hash, ", saved was ",
               printable(saved));
    StateDescription description = parse_description(text, file);
    FP_REQUIRE(description.step == step, Exit::model, file, ": holds step ", description.step);
    state.metadata.clear();
    check_sections(state, description.state, file);
    TensorFile model = read_safetensors(model_path(folder_.path(), step));
    check_sections(model, description.model, shown(model_path(folder_.path(), step)));
    identity = std::move(description.identity);
    return {.step = step,
            .model = std::move(model),
            .state = std::move(state.tensors),
            .progress = std::move(description.progress)};
}

void CheckpointFolder::name_models(const SavedSteps& steps, bool keep_last, bool keep_best) {
    const auto name_as = [&](int64_t step, const char* name, bool keep) {
        const std::string why = link_as(model_path(folder_.path(), step), folder_ / name, keep);
        if (!why.empty() && !copies_)
            tell(shown(folder_.path()), ": files cannot be linked here (", why, "); models are copied instead");
        copies_ = copies_ || !why.empty();
    };
    if (steps.last) name_as(*steps.last, "last.safetensors", keep_last);
    if (steps.best && fs::exists(model_path(folder_.path(), *steps.best)))
        name_as(*steps.best, "best.safetensors", keep_best);
}

}  // namespace fp
