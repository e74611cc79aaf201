// The guide's chapter on layer 7, as far as a unit without a real HAProxy can tell it: a virtual server with cookie
// persistence and two servers, nonsense refused line by line, applied, drained. Told after story.mjs, to the same unit.

import assert from "node:assert/strict";
import { examine } from "./axe.mjs";
import { Person } from "./browser.mjs";
import { PASSWORD, logIn } from "./story.mjs";

const VIRTUAL_SERVERS = ["Edit Configuration", "Virtual Servers", "Layer 7 Configuration"];
const REAL_SERVERS = ["Edit Configuration", "Real Servers", "Layer 7 Configuration"];
const COOKIE = "cookie: inserted by this unit (http)";

export function layer7(browser, unit, options) {
  const steps = [];
  const step = (name, work) => steps.push({ name, work });
  const story = { steps, people: [] };
  let anna;

  const form = (name) => anna.page.locator(`form[action$="/ssl/${name}"]`);
  const unfold = (heading) => anna.page.locator("details.fold > summary", { hasText: new RegExp(`^\\s*${heading}\\s*$`) }).click();

  step("nonsense comes back at its field, unfolded, line by line", async () => {
    anna = await Person.at(browser, unit, options);
    story.people.push(anna);
    await logIn(anna, PASSWORD);
    await anna.sees(anna.page.getByRole("button", { name: "Log out" }));
    await anna.menu(...VIRTUAL_SERVERS);
    await anna.sees("EDIT CONFIGURATION > LAYER 7 VIRTUAL SERVERS");
    await anna.follow("Add a new Virtual Server");
    assert.ok(!(await anna.field("Content rules").isVisible()), "what few need is folded away");
    await unfold("Content switching");
    const typed = {
      Label: "Shop", "Virtual Server (ipaddress:port)": "10.0.0.21:80", "Cookie name": "my cookie", Persistence: COOKIE,
      "Content rules": "path /images -> use Images\npaht /old -> refuse",
    };
    await anna.fill(typed);
    await anna.press("Update");
    await anna.sees(anna.page.getByRole("alert").getByText("Nothing was changed yet"));
    await anna.sees('Line 2: "paht" is not a test');
    await anna.sees('cookie name "my cookie" contains');
    assert.ok(await anna.field("Content rules").isVisible(), "an error is not folded away");
    assert.ok(!(await anna.field("Queue timeout").isVisible()));
    assert.equal(await anna.field("Content rules").getAttribute("aria-invalid"), "true");
    for (const label of ["Label", "Cookie name", "Content rules"]) assert.equal(await anna.field(label).inputValue(), typed[label]);
    await examine(anna, "errors in the layer 7 form");
    await anna.fill({ "Cookie name": "", "Content rules": "path /images -> use Images" });
    await anna.press("Update");
    await anna.sees("layer 4 virtual server HTTP_Cluster has tcp 10.0.0.21:80 already");
    await anna.sees('Rule 1, "Images": There is no such layer 7 virtual server');
    await anna.misses(anna.bar);
  });

  step("a virtual server with a cookie, and two servers", async () => {
    await anna.fill({
      "Virtual Server (ipaddress:port)": "10.0.0.21:8080", "Idle limit": "1800",
      "Content rules": "path /old -> redirect /new\nnot source 10.0.0.0/8 192.168.0.0/16 -> refuse",
      "Response headers": "remove X-Powered-By",
    });
    await anna.press("Update");
    await anna.sees(anna.bar.getByText("Add layer 7 virtual server Shop on http 10.0.0.21:8080 (roundrobin)"));
    await anna.sees("EDIT CONFIGURATION > LAYER 7 REAL SERVERS");
    for (const [n, address] of [[1, "192.168.2.50:80"], [2, "192.168.2.51:80"]]) {
      await anna.follow("Add a new Real Server to Shop");
      await anna.fill({ Label: `WebServer${n}`, "Real Server (ipaddress:port)": address });
      await anna.press("Update");
      await anna.sees(anna.bar.getByText(new RegExp(`Add real server WebServer${n} at .* to Shop`)));
    }
    await examine(anna, "the tree of layer 7");
    await anna.applies();
    await anna.menu("View Configuration", "System Overview");
    await anna.sees(anna.page.getByRole("rowheader", { name: /VIP \d+ Shop$/ }));
    await anna.menu("View Configuration", "Layer 7");
    await anna.sees(/VIP \d+ Shop: http 10\.0\.0\.21:8080/);
    await anna.sees("not source 10.0.0.0/8 192.168.0.0/16 -> refuse");
  });

  step("what is set is not folded away, and is kept", async () => {
    await anna.menu(...VIRTUAL_SERVERS);
    await anna.follow("Modify Shop");
    assert.equal(await anna.field("Idle limit").inputValue(), "1800");
    assert.ok(await anna.field("Content rules").isVisible());
    assert.ok(!(await anna.field("Queue timeout").isVisible()));
    await anna.fill({ Balance: "leastconn - the fewest connections for its weight" });
    await anna.press("Update");
    assert.equal(await anna.bar.getByRole("listitem").count(), 1, "one change, and nothing else");
    await anna.sees(anna.bar.getByText("Change balance of Shop from roundrobin to leastconn"));
    await anna.applies();
    await anna.follow("Modify Shop");
    await anna.follow("Help: Idle limit");
    await anna.page.waitForURL(/\/lbadmin\/help\/13-fields#layer-seven-cookie-limits$/);
  });

  step("what is no certificate is refused at its field", async () => {
    await anna.menu("Edit Configuration", "SSL Termination");
    await anna.sees("There is no certificate yet.");
    const upload = form("upload");
    await upload.getByLabel("Label", { exact: true }).fill("shop");
    await upload.getByLabel("or its text").fill("-----BEGIN NONSENSE-----");
    await anna.press("Upload", upload);
    await anna.sees(upload.locator("#f-file-error"));
    assert.equal(await upload.getByLabel("Label", { exact: true }).inputValue(), "shop");
    await examine(anna, "a refused certificate");
    await anna.press("Upload", upload);
    await anna.sees("Choose a file, or paste the certificate with its key.");
    await anna.misses(anna.bar);
  });

  step("a certificate that the unit signs itself, and a virtual server over https", async () => {
    await unfold("Make a self-signed certificate");
    const itself = form("self-signed");
    await itself.getByLabel("Label", { exact: true }).fill("shop");
    await itself.getByLabel("Names and addresses", { exact: true }).fill("shop.example.com\nwww.shop.example.com");
    await anna.press("Make a self-signed certificate", itself);
    await anna.sees(/The certificate is on the unit; its label shop is a pending change/);
    await anna.sees("It is signed by itself");
    await anna.sees(anna.bar.getByText(/Add certificate shop/));
    await examine(anna, "the list of certificates");
    await anna.menu(...VIRTUAL_SERVERS);
    await anna.follow("Add a new Virtual Server");
    await unfold("SSL termination");
    await anna.fill({ Label: "Safe", "Virtual Server (ipaddress:port)": "10.0.0.21:443", Certificates: "shpo" });
    await anna.press("Update");
    await anna.sees(anna.page.getByRole("alert").getByText("Nothing was changed yet"));
    assert.equal(await anna.field("Certificates").getAttribute("aria-invalid"), "true");
    await anna.fill({ Certificates: "shop", HSTS: "86400" });
    await anna.press("Update");
    await anna.sees(anna.bar.getByText("Add layer 7 virtual server Safe on https 10.0.0.21:443 (roundrobin)"));
    await anna.applies();
    await anna.menu("Edit Configuration", "SSL Termination");
    const row = anna.page.getByRole("row").filter({ hasText: "www.shop.example.com" });
    await anna.sees(row.getByText("yes", { exact: true }));
  });

  step("a server of layer 7 is drained as one of layer 4", async () => {
    await anna.menu("Maintenance", "Take a Real Server Offline or Online");
    await anna.press("Drain", anna.page.getByRole("form", { name: "Change status of WebServer2 of Shop" }));
    await anna.sees(anna.page.getByRole("status").getByText(/WebServer2 of Shop/));
    await anna.menu(...REAL_SERVERS);
    await anna.sees(anna.page.getByRole("row", { name: /WebServer2/ }).getByText("(DRAIN)"));
    anna.content();
    story.people.pop();
    await anna.close();
  });

  return story;
}
