// SPDX-License-Identifier: MIT
// One HTTP request to a running server, and what came back.
#pragma once

#include <memory>
#include <string>

#include <catch2/catch.hpp>
#include <curl/curl.h>
#include <nlohmann/json.hpp>

namespace tests {

struct WebRequest {
    std::string method, url;
    nlohmann::json body = nullptr;
    std::string login;                       // user:password; empty: nobody
    long version = CURL_HTTP_VERSION_1_1;
};

struct WebReply {
    long status = 0;
    std::string type, headers, body;
    nlohmann::json content() const { return nlohmann::json::parse(body, nullptr, false); }
};

inline WebReply fetch(const WebRequest& request) {
    const std::unique_ptr<CURL, void (*)(CURL*)> curl{curl_easy_init(), curl_easy_cleanup};
    const std::unique_ptr<curl_slist, void (*)(curl_slist*)> fields{curl_slist_append(nullptr, "Content-Type: application/json"), curl_slist_free_all};
    const std::string sent = request.body.is_null() ? "" : request.body.dump();
    const auto append = +[](char* bytes, std::size_t size, std::size_t count, void* into) {
        static_cast<std::string*>(into)->append(bytes, size * count);
        return size * count;
    };
    WebReply reply;
    curl_easy_setopt(curl.get(), CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_HTTP_VERSION, request.version);
    curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, fields.get());
    if (request.method == "HEAD") curl_easy_setopt(curl.get(), CURLOPT_NOBODY, 1L);
    else curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (request.method == "POST") curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, sent.c_str());
    if (!request.login.empty()) curl_easy_setopt(curl.get(), CURLOPT_USERPWD, request.login.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &reply.body);
    curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, append);
    curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &reply.headers);
    REQUIRE(curl_easy_perform(curl.get()) == CURLE_OK);
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &reply.status);
    const char* type = nullptr;
    curl_easy_getinfo(curl.get(), CURLINFO_CONTENT_TYPE, &type);
    reply.type = type ? type : "";
    return reply;
}

}  // namespace tests
