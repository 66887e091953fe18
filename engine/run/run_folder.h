// The folder of a run, `--out DIR`:
//
//   config.toml        the settings, as --config reads them
//   environment.json   version, compiler, processor, threads, command line, date
//   metrics.jsonl      one JSON object per row; times stand last, so that rows of equal runs differ only there
//   metrics.csv        the same as a table
//   events.out.tfevents.fairprune    the same for TensorBoard, if requested
//   test_reads.jsonl   one row per read of the test split (engine/run/test_reads.h)
//   split.csv          where a part of the split was drawn: the data set with its split, for --data csv:
//   bad_images.csv     images that were skipped because they cannot be read, and why
//
// and checkpoints (engine/run/checkpoint_folder.h) and reports. A folder that cannot be written to is an Error at the
// start.
//
// Of several ranks the first writes; the others read. All must see the same folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/files.h"
#include "engine/parallel/comm.h"
#include "engine/run/folder_writer.h"
#include "engine/run/identity.h"

namespace fp {

struct Kernels;

enum class IfRunIsThere { refuse, resume, overwrite };

// Whether the folder holds a run (checkpoint, metrics, scores or report). A run that ended before it had computed
// anything is none. Exit::usage where it is to be refused, and where a run that does not go on with it would delete or
// replace one of the files that it reads.
bool holds_run(const std::filesystem::path& folder, IfRunIsThere then, const std::vector<std::string>& reads = {});

// Creates the folder if it is missing, and locks it against a second process for the lifetime of the object.
class RunFolder : public FolderWriter {
public:
    // `then` decides what happens to a run in the folder: it is refused, resumed, or deleted. test_reads.jsonl is never
    // deleted, and nothing is where holds_run() throws. Every rank calls it: the first does all this, then the others
    // open the folder for reading, or throw what the first has thrown. Exit::data where a rank does not see the files
    // that the first one writes.
    RunFolder(std::filesystem::path folder,
              IfRunIsThere then,
              const std::vector<std::string>& reads = {},
              const Comm& ranks = {});
    // The folder of a run that has ended, for reading.
    static RunFolder of_ended(std::filesystem::path folder) { return RunFolder(std::move(folder)); }

    bool holds_run() const { return holds_run_; }  // a run that is resumed
    const Comm& ranks() const { return ranks_; }   // that share the run

private:
    explicit RunFolder(std::filesystem::path folder) : FolderWriter(std::move(folder), false), holds_run_(true) {}
    void open(IfRunIsThere then, const std::vector<std::string>& reads);

    Comm ranks_;
    std::optional<Descriptor> lock_;
    bool holds_run_ = false;
};

// On a rank that reads: Exit::data where a file that the first rank has written is not seen here within this time. A disk
// of a network may show a new file late.
void require_seen(const std::filesystem::path& file, const std::string& content, double seconds = 30);

// Where a rank of a run computes.
struct RankNote {
    int rank = 0;
    std::string host = {}, device = {};
};

// How a run was started, for the record in its folder.
struct Caller {
    std::string tool = "fairprune";
    std::string command_line = {};
    std::string config = {};  // every setting, as --config takes it
    // The settings that decide the bits of a run, by name: resuming with another value is refused. Empty: those of the
    // library's own options.
    std::vector<Setting> settings = {};
    std::vector<std::string> reads = {};  // files; a run folder is not to lose them (holds_run)
    std::vector<RankNote> ranks = {};     // of the run; empty where there is one
};

std::string date_now();  // UTC, "2026-11-28T05:30:00Z"

// Version, build, the device that computes, operating system, processor, cores, memory, command line, date in UTC.
// "gpu" is there where a GPU computes, and no device where `used` is null. "ranks" lists those of several.
nlohmann::ordered_json environment(const Caller&, const Kernels* used);

// Writes config.toml and environment.json. The environments of a resumed run are kept under "earlier".
void record_settings(const RunFolder&, const Caller&, const Kernels& used);

// The rows of a metrics.jsonl up to this step, without a last line that a crash cut off.
std::vector<nlohmann::ordered_json> read_rows(const std::filesystem::path& file,
                                              int64_t last_step = std::numeric_limits<int64_t>::max());

// metrics.jsonl and metrics.csv, and with `events` TensorBoard's file, which has one scalar per number of a row:
// "train/loss" for train.loss, "val by sex/gaps.eodd" for val.attributes.sex.gaps.eodd.
class Metrics {
public:
    // Keeps the rows up to `last_step`, the step of the checkpoint that is resumed. -1: starts with no rows.
    Metrics(FolderWriter folder, int64_t last_step, bool events = false);
    ~Metrics();
    Metrics(Metrics&&) noexcept;

    // A row has an integer "step", which never decreases; nested objects become columns "a.b" of the CSV. `times` are
    // durations in seconds.
    void append(nlohmann::ordered_json row, const nlohmann::ordered_json& times);
    const std::vector<nlohmann::ordered_json>& rows() const { return rows_; }

private:
    void write_csv() const;

    FolderWriter folder_;
    bool events_;
    std::vector<nlohmann::ordered_json> rows_;
};

}  // namespace fp
