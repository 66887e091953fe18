#include "tools/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <iterator>
#include <sstream>

#include "engine/data/sampler.h"
#include "engine/io/files.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

enum class Optimizer { sgd, adamw };

struct Settings {
    std::string out, data = "synth:", spec;
    int epochs = 30;
    uint64_t seed = 1;
    double lr = 0.1;
    bool nesterov = false, resume = false, shuffle = true;
    std::optional<int> image_size;
    std::vector<std::string> attributes;
    std::vector<int> batches{1, 32};
    Optimizer optimizer = Optimizer::sgd;
};

void declare(Options& o, Settings& s) {
    o.heading("Training");
    o.add("epochs N", s.epochs, "how often every image is seen", {.low = 0, .high = 1000});
    o.add("lr RATE", s.lr, "learning rate", {.low = 0});
    o.add("nesterov", s.nesterov, "look ahead");
    o.add("shuffle", s.shuffle, "a new order each epoch");
    o.choice<Optimizer>("optimizer NAME", s.optimizer, {{"sgd", Optimizer::sgd}, {"adamw", Optimizer::adamw}},
                        "the optimiser");
    o.add("seed N", s.seed, "of all random numbers");
    o.heading("Data");
    o.add("data SPEC", s.data, "what to train on");
    o.add("attribute NAME", s.attributes, "column with the groups");
    o.add("image-size N", s.image_size, "side in pixels", {.low = 1});
    o.add("batch-size N,N", s.batches, "images a step", {.low = 1});
    o.heading("Run");
    o.add("out DIR", s.out, "run folder");
    o.add("resume", s.resume, "go on where it stopped");
    o.leave_out_of_config("out");
    o.leave_out_of_config("resume");
}

// Parses "fp_train LINE", whose words spaces separate.
void parse(Options& o, const std::string& line) {
    std::istringstream in(line);
    const std::vector<std::string> words(std::istream_iterator<std::string>(in), {});
    std::vector<const char*> pointers{"build/bin/fp_train"};
    for (const std::string& word : words) pointers.push_back(word.c_str());
    FP_CHECK(o.parse(int(pointers.size()), pointers.data()), "help?");
}

Settings read(const std::string& line) {
    Settings s;
    Options o("fp_train", "Trains.");
    declare(o, s);
    parse(o, line);
    return s;
}

template <class... Parts>
void expect_usage(const std::string& line, const Parts&... parts) {
    const auto run = [&] { read(line); };
    expect_error(Exit::usage, run, parts...);
}

TEST(Options, what_changes_nothing_is_refused_on_the_command_line) {
    const auto read_needing = [](const std::string& line) {
        Settings s;
        Options o("fp_train", "Trains.");
        declare(o, s);
        o.needs({"nesterov", "lr"}, "without --optimizer sgd", [&s] { return s.optimizer == Optimizer::sgd; });
        parse(o, line);
        return s;
    };
    const auto idle = [&](const std::string& line, const char* what) {
        expect_error(
            Exit::usage, [&] { read_needing(line); }, what);
    };
    idle("--optimizer adamw --lr 1", "--lr: has no effect without --optimizer sgd");
    idle("--nesterov --optimizer adamw", "--nesterov: has no effect");
    EXPECT_EQ(read_needing("--lr 1 --nesterov").lr, 1);
    EXPECT_EQ(read_needing("--optimizer adamw --lr 0.1 --no-nesterov").lr, .1);  // the defaults change nothing
    // A configuration holds every setting of a run, and what is idle there is no mistake.
    const TemporaryFolder folder;
    write_file(folder / "c.toml", "lr = 3\n");
    EXPECT_EQ(read_needing("--optimizer adamw --config " + (folder / "c.toml").string()).lr, 3);
    write_file(folder / "d.toml", "optimizer = \"adamw\"\n");
    idle("--lr 1 --config " + (folder / "d.toml").string(), "--lr: has no effect");
}

// A variable of the environment for as long as this lives.
class Variable {
public:
    Variable(std::string name, const std::string& value) : name_(std::move(name)) {
        setenv(name_.c_str(), value.c_str(), 1);
    }
    ~Variable() { unsetenv(name_.c_str()); }

private:
    std::string name_;
};

TEST(Options, the_command_line_is_read) {
    const Settings s = read(
        "--epochs 3 --lr=1e-3 --nesterov --no-shuffle --optimizer adamw --data csv:a.csv,images=x#y "
        "--attribute sex --attribute age:60 --image-size 64 --batch-size 8,16 --seed 18446744073709551615 --out "
        "runs/a");
    EXPECT_EQ(s.epochs, 3);
    EXPECT_EQ(s.lr, 1e-3);
    EXPECT_TRUE(s.nesterov);
    EXPECT_FALSE(s.shuffle);
    EXPECT_EQ(s.optimizer, Optimizer::adamw);
    EXPECT_EQ(s.data, "csv:a.csv,images=x#y");
    EXPECT_EQ(s.attributes, (std::vector<std::string>{"sex", "age:60"}));
    EXPECT_EQ(s.image_size, 64);
    EXPECT_EQ(s.batches, (std::vector<int>{8, 16}));
    EXPECT_EQ(s.seed, ~uint64_t(0));
    EXPECT_EQ(s.out, "runs/a");
}

TEST(Options, what_is_not_given_keeps_its_default) {
    const Settings s = read("");
    EXPECT_EQ(s.epochs, 30);
    EXPECT_TRUE(s.shuffle);
    EXPECT_FALSE(s.image_size.has_value());
    EXPECT_EQ(s.batches, (std::vector<int>{1, 32}));
}

TEST(Options, a_misspelt_option_names_the_nearest) {
    expect_usage("--epohcs 3", "--epohcs", "--epochs");
    expect_usage("--atribute=sex", "--atribute", "--attribute");
    expect_usage("--no-epochs", "--no-epochs");
    expect_usage("--batch_size 3", "--batch-size");
}

TEST(Options, wrong_values_are_refused_with_the_option) {
    expect_usage("--epochs ten", "--epochs: `ten` is not a whole number");
    expect_usage("--epochs 3.5", "--epochs", "3.5");
    expect_usage("--epochs 1001", "--epochs", "1001 is above 1000");
    expect_usage("--epochs -1", "--epochs", "-1 is below 0");
    expect_usage("--epochs 99999999999", "--epochs", "99999999999 is out of range");
    expect_usage("--lr 1e-999", "1e-999 is out of range");
    expect_usage("--no-nesterov=true", "--no-nesterov: takes no value");
    expect_usage("--epochs 010x", "--epochs");
    expect_usage("--epochs=", "--epochs");
    expect_usage("--lr nan", "--lr", "nan");
    expect_usage("--seed -1", "--seed");
    expect_usage("--optimizer sdg", "--optimizer", "sdg", "sgd, adamw");
    expect_usage("--batch-size 8,,16", "--batch-size");
    expect_usage("--image-size 0", "0 is below 1");
    expect_usage("--epochs", "--epochs");
    expect_usage("--epochs 1 --epochs 2", "--epochs: given 2 times");
    expect_usage("--out --resume", "--out: needs a value, but --resume follows");
    expect_usage("stray", "stray");
    expect_usage("-x", "-x");
    expect_usage("--nesterov=maybe", "maybe");
}

TEST(Options, a_positional_argument_and_what_is_required) {
    const auto read_action = [](const std::string& line) {
        std::string action, spec;
        Options o("fp_data", "Looks at data.");
        o.positional("action ACTION", action, "check or split");
        o.positional("spec SPEC", spec, "the data");
        o.require("action");
        o.require("spec");
        parse(o, line);
        return action + " " + spec;
    };
    EXPECT_EQ(read_action("check synth:n=3"), "check synth:n=3");
    EXPECT_EQ(read_action("--no-quiet check -- --a"), "check --a") << "all words after two dashes are positional";
    expect_error(
        Exit::usage, [&] { read_action("check"); }, "SPEC: is required");
    const Variable spec("FAIRPRUNE_SPEC", "synth:");
    expect_error(
        Exit::usage, [&] { read_action("check --quiet"); }, "FAIRPRUNE_SPEC: no tool has such an option");
}

TEST(Options, a_positional_list_takes_all_that_are_left) {
    std::string action;
    std::vector<std::string> files;
    Options o("fp_data", "Looks at data.");
    o.positional("action ACTION", action, "what to do");
    o.positional("files FILE", files, "with what");
    parse(o, "show a --quiet b -- --c");
    EXPECT_EQ(action, "show");
    EXPECT_EQ(files, (std::vector<std::string>{"a", "b", "--c"}));
    EXPECT_THAT(o.help(), HasSubstr("Usage: fp_data [ACTION] [FILE...] [options]"));
}

TEST(Options, the_command_line_wins_over_the_environment_over_the_file) {
    const TemporaryFolder folder;
    write_file(folder / "run.toml", "epochs = 1\nlr = 2\nseed = 3\nshuffle = false\nattribute = [\"sex\", \"site\"]\n");
    const Variable lr("FAIRPRUNE_LR", "20"), seed("FAIRPRUNE_SEED", "30"), size("FAIRPRUNE_IMAGE_SIZE", "40");
    const Settings s = read("--seed 300 --attribute age --config " + (folder / "run.toml").string());
    EXPECT_EQ(s.epochs, 1);
    EXPECT_EQ(s.lr, 20);
    EXPECT_EQ(s.seed, 300u);
    EXPECT_EQ(s.image_size, 40);
    EXPECT_FALSE(s.shuffle);
    EXPECT_EQ(s.attributes, (std::vector<std::string>{"age"}));
    const Variable config("FAIRPRUNE_CONFIG", folder / "run.toml");
    EXPECT_EQ(read("").epochs, 1);
}

TEST(Options, mistakes_in_the_environment_name_the_variable) {
    const Variable epochs("FAIRPRUNE_EPOCHS", "many");
    expect_usage("", "FAIRPRUNE_EPOCHS", "many");
}

TEST(Options, mistakes_in_the_file_name_file_and_line) {
    const TemporaryFolder folder;
    const std::string file = folder / "run.toml";
    const auto expect = [&](Exit exit, const std::string& text, const std::string& message) {
        write_file(file, text);
        expect_error(
            exit, [&] { read("--config " + file); }, file + message);
    };
    expect(Exit::usage, "\nepohcs = 3", ":2: epohcs: no such key; the nearest is epochs");
    expect(Exit::usage, "batch_size = 3", ":1: batch_size: no such key; the nearest is batch-size");
    expect(Exit::data, "epochs = \"3\"", ":1: epochs: must be a whole number");
    expect(Exit::data, "epochs = 3.0", ":1: epochs: must be a whole number");
    expect(Exit::data, "epochs = [3]", ":1: epochs: takes one value, not an array");
    expect(Exit::data, "epochs = 5000", ":1: epochs: 5000 is above 1000");
    expect(Exit::data, "nesterov = \"False\"", ":1: nesterov: must be true or false");
    expect(Exit::data, "nesterov = 0", ":1: nesterov: must be true or false");
    expect(Exit::data, "optimizer = \"sdg\"", ":1: optimizer: `sdg` is not one of");
    expect(Exit::data, "config = \"other.toml\"", ":1: config: a configuration cannot name another one");
    expect(Exit::data, "epochs 3", ":1:");
    expect_error(
        Exit::data, [&] { read("--config missing.toml"); }, "missing.toml", "No such file");
}

TEST(Options, the_resolved_configuration_gives_the_same_settings_again) {
    const auto resolved = [](const std::string& line) {
        Settings s;
        Options o("fp_train", "Trains.");
        declare(o, s);
        parse(o, line);
        return o.resolved();
    };
    const std::string first = resolved(
        "--epochs 7 --lr 0.00015 --nesterov --no-shuffle --optimizer adamw --data csv:\"a\\b\",images=#1 "
        "--attribute sex*age:60 --image-size 64 --batch-size 5 --out x --seed 18446744073709551615 --resume");
    EXPECT_THAT(first, HasSubstr("epochs = 7\n"));
    EXPECT_THAT(first, HasSubstr("shuffle = false\n"));
    EXPECT_THAT(first, ::testing::Not(HasSubstr("out")));
    EXPECT_THAT(first, ::testing::Not(HasSubstr("resume")));
    const TemporaryFolder folder;
    const std::string file = folder / "config.toml";
    for (const std::string& config : {first, resolved("")}) {
        write_file(file, config);
        EXPECT_EQ(resolved("--config " + file), config);
    }
}

// TOML's whole numbers end at 2^63 - 1.
TEST(Options, a_seed_that_toml_has_no_number_for_stands_in_quotes) {
    const TemporaryFolder folder;
    const auto with = [&](const std::string& text) {
        write_file(folder / "run.toml", text);
        return read("--config " + (folder / "run.toml").string()).seed;
    };
    EXPECT_EQ(with("seed = \"18446744073709551615\""), ~uint64_t(0));
    EXPECT_EQ(with("seed = 9223372036854775807"), ~uint64_t(0) >> 1);
    expect_error(
        Exit::data, [&] { with("seed = -1"); }, "run.toml:1: seed: `-1` is not a whole number");
    expect_error(
        Exit::data, [&] { with("seed = 1.5"); }, "whole number");
}

TEST(Options, one_of_several_constants_is_chosen_by_its_name) {
    OneOf<Sampling> sampler = Sampling::shuffled;
    const auto choose = [&](const std::string& line) {
        Options o("fp_train", "Trains.");
        o.add("sampler NAME", sampler, "how samples are drawn");
        parse(o, line);
        return std::pair(o.help(), o.resolved());
    };
    const auto [help, resolved] = choose("--sampler class-group");
    EXPECT_TRUE(sampler == Sampling::class_group_balanced);
    EXPECT_THAT(resolved, HasSubstr("sampler = \"class-group\"\n"));
    for (const Sampling* one : Sampling::all()) EXPECT_THAT(help, HasSubstr(std::string(one->name) + " ("));
    expect_error(
        Exit::usage, [&] { choose("--sampler random"); },
        "--sampler: `random` is not one of shuffled, class, group, class-group");
}

TEST(Options, the_command_line_is_quoted_for_a_shell) {
    Settings s;
    Options o("fp_train", "Trains.");
    declare(o, s);
    const char* const words[] = {"build/bin/fp_train", "--epochs", "30", "--out", "it's here"};
    ASSERT_TRUE(o.parse(5, words));
    EXPECT_EQ(o.command_line(), "fp_train --epochs 30 --out 'it'\\''s here'");
}

TEST(Options, a_file_to_be_written_is_tried_at_the_start) {
    const TemporaryFolder folder;
    const auto read_writing = [&](const std::string& out) {
        Settings s;
        Options o("fp_train", "Trains.");
        declare(o, s);
        o.output_file("out");
        parse(o, out.empty() ? "" : "--out " + out);
    };
    read_writing("");
    read_writing((folder / "a.csv").string());
    EXPECT_FALSE(std::filesystem::exists(folder / "a.csv"));
    for (const std::string& out : {(folder / "none/a.csv").string(), folder.path().string()})
        expect_error(
            Exit::data, [&] { read_writing(out); }, out);
}

TEST(Options, the_same_is_said_once) {
    const Options o("fp_train", "Trains.");
    ::testing::internal::CaptureStderr();
    for (const char* line : {"device cpu", "data: x", "device cpu"}) o.say(line);
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "fp_train: device cpu\nfp_train: data: x\n");
}

TEST(Options, a_variable_that_no_tool_reads_is_refused) {
    const Variable other("FAIRPRUNE_CRITERION", "l1"), prefixed("FAIRPRUNE_FINETUNE_EPOCHS", "1");  // of fp_prune
    EXPECT_EQ(read("").epochs, 30);
    const Variable port("FAIRPRUNE_PORT", "4000"), limit("FAIRPRUNE_TIMEOUT", "9"), by("FAIRPRUNE_COLLECTIVES", "tcp");
    read("");  // of the launch
    const Variable epoch("FAIRPRUNE_EPOCH", "3");
    expect_usage("", "FAIRPRUNE_EPOCH: no tool has such an option; the nearest is FAIRPRUNE_EPOCHS");
}

TEST(Options, help_fits_80_columns_and_shows_defaults) {
    Settings s;
    s.data = "csv:" + std::string(200, 'x');
    Options o("fp_train", "Trains an image classifier on " + std::string(100, 'y') + " and writes it down.");
    declare(o, s);
    o.require("out");
    const std::string help = o.help();
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 80u) << line;
        EXPECT_TRUE(line.empty() || line.back() != ' ') << line;
    }
    for (const char* part : {"Training:", "--epochs N", "(default: 30)", "--[no-]nesterov", "--optimizer NAME",
                             "sgd, adamw", "(default: 1,32)", "run folder (required)"})
        EXPECT_THAT(help, HasSubstr(part));
}

}  // namespace
}  // namespace fp
