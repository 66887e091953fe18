#include "engine/run/checkpoint_folder.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "engine/run/checkpoint_json.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPointers = "last.json";
constexpr uint64_t kPointerBytes = 4096;

fs::path model_path(const fs::path& folder, int64_t step) {
    return folder / ("step-" + std::to_string(step) + ".safetensors");
}
fs::path state_path(const fs::path& folder, int64_t step) {
    return folder / ("step-" + std::to_string(step) + ".state");
}

// The step of a file that save() wrote, if it is one.
std::optional<int64_t> step_of(const fs::path& path) {
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
        if (const auto step = step_of(entry.path())) visit(entry.path(), *step);
}

[[noreturn]] void fail_system(const fs::path& path, std::string_view what) {
    const int error = errno;
    fail_with(Exit::model, shown(path), ": ", what, ": ", std::generic_category().message(error));
}

void remove_file(const fs::path& path) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) fail_system(path, "cannot be removed");
}

// Gives `from` a second name, in place of what had it.
void link_as(const fs::path& from, const fs::path& to) {
    std::error_code missing;
    if (fs::equivalent(from, to, missing)) return;
    const fs::path temporary = to.native() + ".tmp." + std::to_string(getpid());
    if (link(from.c_str(), temporary.c_str()) != 0) {
        const bool no_links = errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK;
        if (!no_links) fail_system(to, "cannot be linked");
        write_safetensors(to, read_safetensors(from));
        return;
    }
    if (rename(temporary.c_str(), to.c_str()) != 0) {
        const int error = errno;
        unlink(temporary.c_str());
        errno = error;
        fail_system(to, "cannot be put in place");
    }
}

// Throws where a file's sections are not those that were written.
void check_sections(const std::string& file,
                    const TensorFile& content,
                    const std::map<std::string, std::string>& saved) {
    const auto found = section_hashes(content);
    for (const auto& [name, hash] : saved) {
        const auto section = found.find(name);
        FP_REQUIRE(section != found.end(), Exit::model, file, ": ", printable(name), " is missing");
        FP_REQUIRE(section->second == hash, Exit::model, file, ": ", printable(name), " is damaged: its XXH3-128 is ",
                   section->second, ", saved was ", printable(hash));
    }
    FP_REQUIRE(found.size() == saved.size(), Exit::model, file, ": has ", found.size(), " sections, saved were ",
               saved.size());
}

}  // namespace

std::map<std::string, std::string> section_hashes(const TensorFile& file) {
    const auto add_text = [](Xxh3& hash, std::string_view text) {
        const uint64_t bytes = text.size();  // so that "ab","c" is not "a","bc"
        hash.add(std::as_bytes(std::span(&bytes, 1)));
        hash.add(as_bytes(text));
    };
    std::map<std::string, std::string> hashes;
    Xxh3 metadata;
    for (const auto& [key, value] : file.metadata) {
        add_text(metadata, key);
        add_text(metadata, value);
    }
    hashes["__metadata__"] = metadata.hex();
    for (const TensorEntry& t : file.tensors) {
        Xxh3 hash;
        add_text(hash, t.name);
        add_text(hash, name(t.dtype));
        hash.add(std::as_bytes(std::span(t.shape)));
        hash.add(t.data);
        hashes[t.name] = hash.hex();
    }
    return hashes;
}

CheckpointFolder::CheckpointFolder(fs::path folder, Identity identity, std::ostream& log)
    : folder_(std::move(folder)), identity_(std::move(identity)), log_(log) {}

void CheckpointFolder::save(const Checkpoint& checkpoint, bool best) {
    const int64_t step = checkpoint.step;
    remove_stale_temporaries(folder_, Exit::model);

    TensorFile state{.tensors = checkpoint.state};
    const std::string description = to_text(StateDescription{.step = step,
                                                             .identity = identity_,
                                                             .progress = checkpoint.progress,
                                                             .model = section_hashes(checkpoint.model),
                                                             .state = section_hashes(state)});
    state.metadata = {{"checkpoint", description}, {"xxh3", xxh3(as_bytes(description))}};
    write_safetensors(model_path(folder_, step), checkpoint.model);
    write_safetensors(state_path(folder_, step), state);

    SavedSteps steps = steps_;
    if (steps.last != step) steps.previous = steps.last;
    steps.last = step;
    if (best) steps.best = step;
    name_models(steps);
    write_file(folder_ / kPointers, to_text(steps), Exit::model);
    steps_ = steps;

    for_each_step_file(folder_, [&](const fs::path& path, int64_t found) {
        if (found != steps.last && found != steps.previous && found != steps.best) remove_file(path);
    });
}

std::optional<Checkpoint> CheckpointFolder::load() {
    remove_stale_temporaries(folder_, Exit::model);
    steps_ = read_steps();
    if (!steps_.last) return std::nullopt;
    std::string reasons;
    for (const std::optional<int64_t> step : {steps_.last, steps_.previous}) {
        if (!step) continue;
        std::optional<Checkpoint> checkpoint;
        std::optional<Identity> identity;
        try {
            checkpoint = read(*step, identity);
        } catch (const Error& error) {
            if (error.exit != Exit::model) throw;
            reasons += (reasons.empty() ? "" : "; ") + std::string(error.what());
            log_ << error.what() << "\n";
            continue;
        }
        if (step != steps_.last) {
            log_ << "resuming from the checkpoint before it, step " << *step << "\n";
            steps_.last = step;
            steps_.previous = std::nullopt;
        }
        check_identity(identity);
        name_models(steps_);
        return checkpoint;
    }
    fail_with(Exit::model, shown(folder_), ": no checkpoint can be read: ", reasons);
}

void CheckpointFolder::check_identity(const std::optional<Identity>& saved) const {
    FP_REQUIRE(saved, Exit::model, shown(folder_),
               ": was saved by an earlier version, which kept fewer settings of a run: it cannot be "
               "resumed; --force starts over");
    const std::string other = difference(saved->settings, identity_.settings);
    FP_REQUIRE(other.empty(), Exit::model, "--resume: ", other);
    const std::string noted = difference(saved->noted, identity_.noted);
    if (!noted.empty()) log_ << "--resume: " << noted << "\n";
}

std::optional<Checkpoint> CheckpointFolder::load_best() {
    const SavedSteps steps = read_steps();
    if (!steps.best) return std::nullopt;
    std::optional<Identity> identity;
    return read(*steps.best, identity);
}

void CheckpointFolder::clear(const fs::path& folder) {
    remove_stale_temporaries(folder, Exit::model);
    for (const char* name : {kPointers, "last.safetensors", "best.safetensors"}) remove_file(folder / name);
    for_each_step_file(folder, [](const fs::path& path, int64_t) { remove_file(path); });
}

SavedSteps CheckpointFolder::read_steps() const {
    const fs::path path = folder_ / kPointers;
    if (!fs::exists(path)) return find_steps();
    try {
        return parse_steps(read_file(path, kPointerBytes, Exit::model), shown(path));
    } catch (const Error& error) {
        log_ << error.what() << "; taking the highest steps there are\n";
        return find_steps();
    }
}

// What the names in the folder tell where last.json cannot.
SavedSteps CheckpointFolder::find_steps() const {
    std::vector<int64_t> found;
    SavedSteps steps;
    for_each_step_file(folder_, [&](const fs::path& path, int64_t step) {
        std::error_code missing;
        if (path.extension() == ".state") found.push_back(step);
        if (fs::equivalent(path, folder_ / "best.safetensors", missing)) steps.best = step;
    });
    std::sort(found.rbegin(), found.rend());
    if (found.size() > 0) steps.last = found[0];
    if (found.size() > 1) steps.previous = found[1];
    return steps;
}

Checkpoint CheckpointFolder::read(int64_t step, std::optional<Identity>& identity) const {
    const std::string file = shown(state_path(folder_, step));
    TensorFile state = read_safetensors(state_path(folder_, step));
    const std::string text = state.metadata["checkpoint"], saved = state.metadata["xxh3"];
    const std::string hash = xxh3(as_bytes(text));
    FP_REQUIRE(hash == saved, Exit::model, file, ": its description is damaged: XXH3-128 is ", hash, ", saved was ",
               printable(saved));
    StateDescription description = parse_description(text, file);
    FP_REQUIRE(description.step == step, Exit::model, file, ": holds step ", description.step);
    state.metadata.clear();
    check_sections(file, state, description.state);
    TensorFile model = read_safetensors(model_path(folder_, step));
    check_sections(shown(model_path(folder_, step)), model, description.model);
    identity = std::move(description.identity);
    return {.step = step,
            .model = std::move(model),
            .state = std::move(state.tensors),
            .progress = std::move(description.progress)};
}

void CheckpointFolder::name_models(const SavedSteps& steps) const {
    if (steps.last) link_as(model_path(folder_, *steps.last), folder_ / "last.safetensors");
    if (steps.best && fs::exists(model_path(folder_, *steps.best)))
        link_as(model_path(folder_, *steps.best), folder_ / "best.safetensors");
}

}  // namespace fp
