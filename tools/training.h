// The flags and the progress of training, shared by fp_train and fp_prune.
#pragma once

#include "engine/report/dry_run.h"
#include "engine/run/run_folder.h"
#include "engine/train/fit.h"
#include "tools/inputs.h"

namespace fp {

// `prefix` stands before the option names that fp_prune uses for something else: "" or "finetune-".
void add_training_options(Options&, TrainingSettings&, const std::string& prefix);

// --out, --resume and --force. Exit::usage where both --resume and --force are given.
struct OutFlags {
    std::string out;
    bool resume = false, force = false;

    IfRunIsThere if_run_is_there() const;
};
void add_out_options(Options&, OutFlags&, std::string_view what);

// Where a layer's output is read, and which samples are compared: "tap NAME", "given NAME".
void add_tap(Options&, std::string_view name, Tap&, std::string_view help);
void add_given(Options&, std::string_view name, bool& given_class, std::string_view help);

// Lines and progress on stderr, unless quiet; stopped by SIGINT, SIGTERM and SIGHUP.
Observer on_stderr(bool quiet);

Caller caller_of(const Options&);  // once the ranks are ready
// Of a run in --out that reads these files. --force must not delete the file of --config either; without it the file is
// only written again, with the same settings.
Caller caller_of(const Options&, const OutFlags&, std::vector<std::string> reads);

// As text or JSON on stdout; the exit code.
int print(const DryRun&, const Options&);

}  // namespace fp
