// What a tool says of itself: help of a topic, its manual page, completion.
#include <gmock/gmock.h>

#include <iostream>
#include <sstream>

#include "tests/expect_error.h"
#include "tools/options.h"

namespace fp {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;

// Takes standard output for as long as this lives.
struct Captured {
    Captured() : before(std::cout.rdbuf(text.rdbuf())) {}
    ~Captured() { std::cout.rdbuf(before); }
    std::ostringstream text;
    std::streambuf* before;
};

// What a tool prints for --help TOPIC, --help-man and --completion.
std::string printed(const std::vector<const char*>& words) {
    std::string out_folder, select;
    int epochs = 30;
    bool nesterov = false;
    enum class Kind { sgd, adamw } kind = Kind::sgd;
    Options o("fp_train", "Trains what's given.");
    o.heading("Training");
    o.add("epochs N", epochs, "how often every image is seen: 'passes'");
    o.add("nesterov", nesterov, "look ahead");
    o.choice<Kind>("optimizer NAME", kind, {{"sgd", Kind::sgd}, {"adamw", Kind::adamw}}, "the optimiser");
    o.add("out DIR", out_folder, "[run] folder");
    o.add("select NAME", select, "what chooses");
    o.offer("select", "loss, macro_f1, rms:ATTRIBUTE or GAP:ATTRIBUTE");
    o.topic("data", "Data sets", "csv:FILE\n");
    std::vector<const char*> line{"fp_train"};
    line.insert(line.end(), words.begin(), words.end());
    const Captured out;
    EXPECT_FALSE(o.parse(int(line.size()), line.data()));
    return out.text.str();
}

TEST(Descriptions, help_of_a_topic) {
    EXPECT_EQ(printed({"--help", "data"}), "Data sets\n\ncsv:FILE\n");
    EXPECT_THAT(printed({"--help"}), HasSubstr("--help data: Data sets"));
    expect_error(
        Exit::usage,
        [] {
            printed({"--help", "dota"});
        },
        "--help dota", "--help data?");
}

TEST(Descriptions, the_manual_page_escapes_what_roff_would_read) {
    const std::string page = printed({"--help-man"});
    EXPECT_THAT(page, HasSubstr(".TH fp_train 1"));
    EXPECT_THAT(page, HasSubstr("fp_train \\- Trains what's given."));
    EXPECT_THAT(page, HasSubstr(".B \\-\\-epochs N\n"));
    EXPECT_THAT(page, HasSubstr(".SH \"Data sets\"\n.nf\ncsv:FILE\n.fi\n"));
}

TEST(Descriptions, completion_knows_options_and_the_words_of_a_choice) {
    EXPECT_THAT(printed({"--completion", "bash"}), HasSubstr("--optimizer) COMPREPLY=($(compgen -W 'sgd adamw'"));
    EXPECT_THAT(printed({"--completion", "bash"}), HasSubstr("--select) COMPREPLY=($(compgen -W 'loss macro_f1'"));
    EXPECT_THAT(printed({"--completion", "bash"}), HasSubstr(" --nesterov --no-nesterov "));
    EXPECT_THAT(printed({"--completion", "zsh"}),
                HasSubstr("'--optimizer=[the optimiser\\: sgd, adamw]:NAME:(sgd adamw)'"));
    EXPECT_THAT(printed({"--completion", "zsh"}), HasSubstr("'--out=[\\[run\\] folder]:DIR:_files'"));
    EXPECT_THAT(printed({"--completion", "fish"}),
                HasSubstr("complete -c fp_train -l epochs -x -d 'how often every image is seen: \\'passes\\''\n"));
    expect_error(
        Exit::usage,
        [] {
            printed({"--completion", "ksh"});
        },
        "`ksh` is not bash, fish or zsh");
}

}  // namespace
}  // namespace fp
