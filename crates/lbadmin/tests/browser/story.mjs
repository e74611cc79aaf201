// One administrator's first hour, as the guide tells it: chapters 3 to 6 of docs/guide. The same story is told to a
// browser with scripts and to one without.

import assert from "node:assert/strict";
import { examine } from "./axe.mjs";
import { Person } from "./browser.mjs";
import { limits, until } from "./limits.mjs";

export const PASSWORD = "a yard of steel in Leeds";

// Question, the default that is offered, the guide's answer.
const WIZARD = [
  ["IP address for interface eth0", "10.0.0.21"],
  ["Netmask for interface eth0", "255.255.255.0"],
  ["IP address for interface eth1", "192.168.2.21"],
  ["Netmask for interface eth1", "255.255.255.0"],
  ["IP address of the default gateway", "10.0.0.31"],
  ["IP address of the nameserver", "10.0.0.31"],
  ["Port for first virtual server", "80"],
  ["IP address of the first real server (backend)", "192.168.2.50"],
];

export async function logIn(person, password, place = "") {
  await person.open(place);
  await person.fill({ "User name": "loadbalancer" });
  await person.page.getByLabel("Password", { exact: true }).fill(password);
  await person.press("Log in");
}

const OFFLINE = ["Maintenance", "Take a Real Server Offline or Online"];

// Gives the steps in order: name and work.
export function story(browser, unit, servers, options) {
  const steps = [];
  const step = (name, work) => steps.push({ name, work });
  const story = { steps, people: [] };
  let anna;

  step("first log-in and a password of one's own", async () => {
    anna = await Person.at(browser, unit, options);
    story.people.push(anna);
    await logIn(anna, "wrong password");
    await anna.sees(anna.page.getByRole("alert"));
    assert.equal(await anna.field("User name").inputValue(), "loadbalancer");
    await examine(anna, "a refused log-in");
    await logIn(anna, "loadbalancer");
    await anna.sees(anna.page.getByRole("heading", { name: "Change your password" }));
    await anna.open("edit/wizard");
    await anna.sees(anna.page.getByRole("heading", { name: "Change your password" }));
    await examine(anna, "the change of password");
    await anna.page.getByLabel("Old password").fill("loadbalancer");
    await anna.page.getByLabel(/^New password (?!again)/).fill(PASSWORD);
    await anna.page.getByLabel("New password again").fill(`${PASSWORD}!`);
    await anna.press("Update");
    await anna.sees(anna.page.getByRole("alert"));
    await anna.page.getByLabel("Old password").fill("loadbalancer");
    await anna.page.getByLabel(/^New password (?!again)/).fill(PASSWORD);
    await anna.page.getByLabel("New password again").fill(PASSWORD);
    await anna.press("Update");
    await anna.sees(anna.page.getByRole("button", { name: "Log out" }));
  });

  step("the wizard with the guide's answers", async () => {
    await anna.menu("Edit Configuration", "Setup Wizard");
    for (const question of ["Is this unit part of an HA-Pair?", "Is this a one-armed set-up"]) {
      await anna.page.getByRole("group", { name: question }).getByLabel("No").check();
      await anna.press("Continue");
    }
    for (const [question, answer] of WIZARD) {
      await anna.sees(anna.field(question));
      if (question.startsWith("Netmask for interface eth1")) {
        await anna.fill({ [question]: "255.0.255.0" });
        await anna.press("Continue");
        await anna.sees("255.0.255.0 is not a netmask");
        assert.equal(await anna.field(question).inputValue(), "255.0.255.0");
        await examine(anna, "a refused answer");
      }
      await anna.fill({ [question]: answer });
      await anna.press("Continue");
    }
    await anna.sees("This unit moves to 10.0.0.21.");
    await examine(anna, "the wizard's summary");
    await anna.press("Confirm and apply");
    await anna.sees("The real server 192.168.2.50 still needs");
    await anna.sees(/is on trial/);
    await examine(anna, "a change on trial");
    await anna.press("Keep it");
    await anna.misses(/is on trial/);
    await anna.sees("VIEW CONFIGURATION > SYSTEM OVERVIEW");
  });

  step("quicker health checks", async () => {
    await anna.menu("Edit Configuration", "Global Settings");
    await anna.fill({ "Check interval": "1" });
    await anna.press("Update");
    await anna.applies();
    await anna.menu("View Configuration", "System Overview");
    await anna.becomes("WebServer1 active", async () => (await anna.cell("WebServer1", "State")).includes("active"));
  });

  step("a second web server", async () => {
    await anna.menu("Edit Configuration", "Real Servers");
    await anna.sees("EDIT CONFIGURATION > REAL SERVERS");
    await anna.follow("Add a new Real Server to HTTP_Cluster");
    await anna.sees("EDIT CONFIGURATION > ADD A NEW REAL SERVER");
    assert.equal(await anna.field("Weight").inputValue(), "1");
    assert.match(await anna.field("Forwarding Method").locator("option:checked").innerText(), /^NAT/);
    await anna.fill({ Label: "WebServer2", "Real Server (ipaddress:port)": "192.168.2.51:80" });
    await anna.press("Update");
    await anna.sees(anna.bar.getByText(/Add real server WebServer2/));
    await examine(anna, "pending changes");
    await anna.menu("View Configuration", "System Overview");
    await anna.misses(anna.row("WebServer2"));
    await anna.applies();
    await anna.sees(anna.row("WebServer2"));
  });

  step("both serve, and the numbers rise", async () => {
    await anna.menu("View Configuration", "System Overview");
    if (anna.scripts) await anna.page.evaluate(() => (window.sameDocument = true));
    for (const server of ["WebServer1", "WebServer2"]) {
      await anna.becomes(`${server} active`, async () => (await anna.cell(server, "State")).startsWith("● active"));
      const before = await anna.cell(server, "In");
      await anna.becomes(`clients of ${server}`, async () => Number(await anna.cell(server, "Active")) > 0);
      await anna.becomes(`more bytes to ${server}`, async () => (await anna.cell(server, "In")) !== before);
    }
    if (anna.scripts) assert.ok(await anna.page.evaluate(() => window.sameDocument), "the page was loaded again");
    else assert.ok(await anna.page.locator('noscript meta[http-equiv="refresh"]').count(), "nothing loads it again");
  });

  step("a server offline and online", async () => {
    await anna.menu(...OFFLINE);
    assert.equal(await anna.cell("WebServer2", "Requested Status"), "ONLINE (1)");
    const buttons = anna.page.getByRole("form", { name: "Change status of WebServer2 of HTTP_Cluster" });
    for (const [button, requested, actual] of [
      ["Offline", "OFFLINE", /non-active/], ["Drain", "DRAIN", /draining|non-active/], ["Online", "ONLINE (1)", /● active/],
    ]) {
      await anna.press(button, buttons);
      await anna.sees(anna.page.getByRole("status").getByText(/WebServer2 of HTTP_Cluster/));
      await anna.becomes(`requested ${requested}`, async () => (await anna.cell("WebServer2", "Requested Status")) === requested);
      await anna.becomes(`actual ${actual}`, async () => actual.test(await anna.cell("WebServer2", "Actual Status")));
      await anna.misses(anna.bar);
    }
  });

  step("a server that fails, and why", async () => {
    await anna.menu(...OFFLINE);
    await servers[1].stop();
    try {
      await anna.becomes("WebServer2 non-active", async () => /✕ non-active/.test(await anna.cell("WebServer2", "Actual Status")));
      await examine(anna, "a failed server");
      assert.equal(await anna.cell("WebServer2", "Requested Status"), "ONLINE (1)");
      assert.match(await anna.cell("WebServer1", "Actual Status"), /● active/);
      await anna.row("WebServer2").getByRole("link", { name: /Ldirectord/ }).click();
      await anna.sees("LOGS > LDIRECTORD");
      await anna.becomes("the failed check in the log", async () => (await anna.text()).includes("192.168.2.51"));
      await anna.menu("Reports", "Status");
      await anna.sees(anna.page.getByRole("cell", { name: "WebServer2" }));
    } finally {
      await servers[1].start();
    }
    await anna.menu(...OFFLINE);
    await anna.becomes("WebServer2 active again", async () => /● active/.test(await anna.cell("WebServer2", "Actual Status")));
  });

  step("wrong input comes back at its field, with everything else", async () => {
    await anna.menu("Edit Configuration", "Real Servers");
    await anna.follow("Add a new Real Server to HTTP_Cluster");
    const typed = {
      Label: "WebServer3", "Real Server (ipaddress:port)": "192.168.2.552:80", Weight: "7", "Maximum Connections": "many",
    };
    await anna.fill(typed);
    await anna.press("Update");
    await anna.sees(anna.page.getByRole("alert").getByText("Nothing was changed yet"));
    await examine(anna, "errors at fields");
    for (const [label, value] of Object.entries(typed)) assert.equal(await anna.field(label).inputValue(), value, label);
    for (const [label, wrong] of [["Real Server (ipaddress:port)", /"192\.168\.2\.552" is not an IP address/], ["Maximum Connections", /many/]]) {
      const field = anna.field(label);
      assert.equal(await field.getAttribute("aria-invalid"), "true", label);
      const ids = (await field.getAttribute("aria-describedby")).split(" ");
      assert.match((await Promise.all(ids.map((id) => anna.page.locator(`[id="${id}"]`).innerText()))).join(" "), wrong);
    }
    assert.equal(await anna.field("Weight").getAttribute("aria-invalid"), null);
    await anna.misses(anna.bar);
  });

  step("the ? beside a field explains it", async () => {
    await anna.menu("Edit Configuration", "Real Servers");
    await anna.follow("Add a new Real Server to HTTP_Cluster");
    await anna.follow("Help: Maximum Connections");
    await anna.page.waitForURL(/\/lbadmin\/help\/[^#]+#real-server-maximum-connections$/);
    await anna.sees(anna.page.locator('[id="real-server-maximum-connections"]').filter({ hasText: "Maximum Connections" }));
  });

  step("two administrators at one server", async () => {
    const ben = await Person.at(browser, unit, options);
    story.people.push(ben);
    await logIn(ben, PASSWORD);
    await ben.sees(ben.page.getByRole("button", { name: "Log out" }));
    for (const person of [anna, ben]) {
      await person.menu("Edit Configuration", "Real Servers");
      await person.follow("Modify WebServer2 of HTTP_Cluster");
    }
    await anna.fill({ Weight: "5", "Maximum Connections": "1000" });
    await anna.press("Update");
    await anna.sees(anna.bar.getByText(/weight of WebServer2 .* to 5/));
    await ben.fill({ Weight: "7", "Minimum Connections": "10" });
    await ben.press("Update");
    await ben.sees("Somebody else changed this meanwhile");
    await ben.sees("Weight is now 5, you typed 7");
    await examine(ben, "a conflict");
    assert.equal(await ben.field("Weight").inputValue(), "7");
    assert.equal(await ben.field("Minimum Connections").inputValue(), "10");
    assert.equal(await ben.field("Maximum Connections").inputValue(), "1000", "what the other one did is not lost");
    await ben.press("Update");
    await ben.sees(ben.bar.getByText(/weight of WebServer2 .* to 7/));
    // Anna's page is older than Ben's edit: she is asked to look again.
    await anna.press("Apply configuration", anna.bar);
    await anna.sees(/no longer the one you looked at/);
    await ben.menu("View Configuration", "System Overview");
    await anna.menu("Edit Configuration", "Real Servers");
    await anna.applies();
    if (ben.scripts) await ben.sees(/The configuration has changed since this page was made/, limits.live);
    assert.equal(await anna.cell("WebServer2", "Weight"), "7");
    assert.equal(await anna.cell("WebServer2", "Minimum"), "10");
    assert.equal(await anna.cell("WebServer2", "Maximum"), "1000");
    ben.content();
    story.people.pop();
    await ben.close();
  });

  step("another address of eth0 is on trial: undo, then keep", async () => {
    for (const [button, address] of [["Undo now", "10.0.0.21/24"], ["Keep it", "10.0.0.22/24"]]) {
      await anna.menu("Edit Configuration", "Network Interfaces");
      await anna.follow("Modify eth0");
      await anna.fill({ Addresses: "10.0.0.22/24\n10.0.0.21/24" });
      await anna.press("Update");
      await anna.sees(anna.bar.getByText("It changes how this unit is reached."));
      await anna.press("Apply configuration", anna.bar);
      await anna.sees(/Revision \d+ is on trial/);
      const left = async () => Number(await anna.page.locator(".countdown").innerText());
      const first = await left();
      assert.ok(first > 60 && first <= 120, `${first} s left`);
      await anna.becomes("fewer seconds", async () => (await left()) < first);
      await anna.press(button);
      await anna.misses(/is on trial/);
      await anna.menu("Edit Configuration", "Network Interfaces");
      assert.equal((await anna.cell("eth0", "Addresses")).split("\n")[0], address);
    }
  });

  step("pending changes: details, discard", async () => {
    await anna.menu("Edit Configuration", "Real Servers");
    await anna.follow("Modify WebServer1 of HTTP_Cluster");
    await anna.fill({ Weight: "3" });
    await anna.press("Update");
    await anna.follow("Details", anna.bar);
    await anna.sees("What applying does");
    await examine(anna, "details of pending changes");
    await anna.press("Discard");
    await anna.sees("The pending changes are discarded.");
    await anna.menu("Edit Configuration", "Real Servers");
    assert.equal(await anna.cell("WebServer1", "Weight"), "1");
  });

  step("history, difference, and back", async () => {
    await anna.menu("Edit Configuration", "Real Servers");
    await anna.follow("Modify WebServer1 of HTTP_Cluster");
    await anna.fill({ Weight: "9" });
    await anna.press("Update");
    await anna.follow("Details", anna.bar);
    await anna.fill({ "Comment for the history": "heavier for a day" });
    await anna.press("Apply configuration");
    await anna.sees(/Applied as revision \d+/);
    await anna.menu("Maintenance", "Configuration History");
    await anna.sees(anna.page.getByRole("row", { name: /loadbalancer .*heavier for a day.*running/ }));
    const numbers = await anna.page.getByRole("main").getByRole("row").getByRole("link").allInnerTexts();
    await anna.follow(numbers[1]);
    await anna.sees("Change weight of WebServer1 in HTTP_Cluster from 9 to 1");
    await anna.fill({ "Comment for the history": "too heavy" });
    await anna.press(`Roll back to revision ${numbers[1]}`);
    await anna.sees(/Applied as revision \d+/);
    await anna.sees(/too heavy/);
    await anna.menu("Edit Configuration", "Real Servers");
    assert.equal(await anna.cell("WebServer1", "Weight"), "1");
  });

  step("log out", async () => {
    await anna.press("Log out");
    await anna.sees(anna.page.getByRole("button", { name: "Log in" }));
    await anna.open("edit/real-servers");
    await anna.sees(anna.page.getByRole("button", { name: "Log in" }));
    await logIn(anna, PASSWORD, "edit/real-servers");
    await until("the page that was asked for", limits.element, () => anna.page.url().endsWith("/edit/real-servers"));
    anna.content();
    story.people.pop();
    await anna.close();
  });

  return story;
}
