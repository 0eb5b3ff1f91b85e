// SPDX-License-Identifier: MIT
// XEP-0004: Data Forms.
#include "xmpp/data_form.h"

#include <catch2/catch.hpp>

#include "xmpp/namespaces.h"
#include "xmpp/parser.h"

using namespace xmpp;

TEST_CASE("a form is read with its fields, options and values") {
    const Stanza x = parse_trusted(
        "<x xmlns='jabber:x:data' type='form'><title>Bot</title><instructions>Fill</instructions>"
        "<instructions>in</instructions><field var='FORM_TYPE' "
        "type='hidden'><value>jabber:bot</value></field>"
        "<field type='fixed'><value>Section 1</value></field>"
        "<field type='boolean' label='Public?' var='public'><required/></field>"
        "<field type='list-multi' var='features'><option label='Contests'><value>contests</value></option>"
        "<option><value>news</value></option><value>news</value><value>a &amp; b</value></field>"
        "<field type='no-such-type' var='odd'><value/></field><field var='plain'/></x>");
    const DataForm form = DataForm::parse(x.element());
    CHECK(form.type == "form");
    CHECK(form.title == "Bot");
    CHECK(form.instructions == std::vector<std::string>{"Fill", "in"});
    CHECK(form.form_type() == "jabber:bot");
    REQUIRE(form.field("public"));
    CHECK(form.field("public")->required);
    CHECK(form.field("public")->label == "Public?");
    REQUIRE(form.field("features"));
    CHECK(form.field("features")->values == std::vector<std::string>{"news", "a & b"});
    CHECK(form.field("features")->options[0] == std::pair<std::string, std::string>{"Contests", "contests"});
    CHECK(form.field("odd")->type == "text-single");
    CHECK(form.field("plain")->type == "text-single");
    CHECK(form.value("odd").empty());
    CHECK(form.value("absent").empty());
    CHECK_FALSE(form.field("absent"));
}

TEST_CASE("a form that is written reads the same again") {
    DataForm form;
    form.title = "Sign <up>";
    form.instructions = {"one", "two"};
    FormField pin;
    pin.var = "pin";
    pin.type = "text-private";
    pin.label = "PIN";
    pin.required = true;
    FormField choice;
    choice.var = "choice";
    choice.type = "list-single";
    choice.options = {{"A", "a"}, {"", "b"}};
    choice.values = {"b"};
    choice.media = "<media xmlns='urn:xmpp:media-element'><uri type='image/png'>cid:x</uri></media>";
    form.fields = {pin, choice};
    form.hidden_form_type("urn:example:signup");
    XmlWriter w;
    form.write(w);
    const Stanza parsed = parse_trusted(w.take());
    const DataForm again = DataForm::parse(parsed.element());
    CHECK(again.title == form.title);
    CHECK(again.instructions == form.instructions);
    CHECK(again.form_type() == "urn:example:signup");
    REQUIRE(again.fields.size() == 3);
    CHECK(again.fields[0].type == "hidden");
    CHECK(again.fields[1].type == "text-private");
    CHECK(again.fields[1].required);
    CHECK(again.fields[2].options == form.fields[2].options);
    CHECK(again.fields[2].values == form.fields[2].values);
    CHECK(again.fields[2].media == form.fields[2].media);
}

TEST_CASE("a filled-in form names no types but that of FORM_TYPE") {
    DataForm form;
    form.type = "submit";
    FormField name;
    name.var = "name";
    name.values = {"Juliet"};
    form.fields = {name};
    form.hidden_form_type("urn:x");
    XmlWriter w;
    form.write(w);
    CHECK(w.take() ==
          "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:x</value>"
          "</field><field var='name'><value>Juliet</value></field></x>");
}

TEST_CASE("no element reads as an empty form") {
    const DataForm form = DataForm::parse(Element{});
    CHECK(form.fields.empty());
    CHECK(form.type.empty());
}
