// Every page of the menu and the forms behind it: answers 200, says nothing on the console, has no serious finding of
// axe-core in light and in dark, and does not scroll sideways on a phone. Leaves a picture of each.

import { axe } from "./axe.mjs";
import { Person, phone, picture, wide } from "./browser.mjs";
import { limits, until } from "./limits.mjs";
import { PASSWORD, logIn } from "./story.mjs";

// Behind the menu's pages, by the names that the stories gave.
const FORMS = [
  "edit/virtual-servers/new", "edit/virtual-servers/modify?vip=HTTP_Cluster", "edit/virtual-servers/remove?vip=HTTP_Cluster",
  "edit/real-servers/new?vip=HTTP_Cluster", "edit/real-servers/modify?vip=HTTP_Cluster&rip=WebServer2",
  "edit/real-servers/remove?vip=HTTP_Cluster&rip=WebServer2",
  "edit/layer-7/virtual-servers/new", "edit/layer-7/virtual-servers/modify?vip=Shop", "edit/layer-7/virtual-servers/remove?vip=Shop",
  "edit/layer-7/real-servers/new?vip=Shop", "edit/layer-7/real-servers/modify?vip=Shop&rip=WebServer2",
  "edit/interfaces/new", "edit/users/new", "edit/users/modify?user=loadbalancer", "history/1", "password",
  "help/3-first-set-up", "help/13-fields", "help/17-layer-7",
];

// One page in all its looks; gives what is wrong with it.
export async function look(person, path, name = path || "overview") {
  const { page } = person;
  const wrong = [];
  await page.setViewportSize(wide);
  await page.emulateMedia({ colorScheme: "light" });
  const status = await person.open(path);
  if (status !== 200) wrong.push(`${path}: answered ${status}`);
  // Graphs draw themselves after the page is there.
  await until(`the graphs of ${path}`, limits.element, () =>
    page.evaluate(() => [...document.querySelectorAll(".chart[data-src]")].every((c) => c.querySelector(".chart-plot, .chart-note"))));
  const shot = (look) => page.screenshot({ path: picture(`${name}-${look}`), fullPage: true, animations: "disabled" });
  wrong.push(...(await axe(page, `${name}, light`)));
  await shot("1280-light");
  await page.emulateMedia({ colorScheme: "dark" });
  wrong.push(...(await axe(page, `${name}, dark`, ["color-contrast"])));
  await shot("1280-dark");
  await page.setViewportSize(phone);
  await shot("390-dark");
  await page.emulateMedia({ colorScheme: "light" });
  wrong.push(...(await axe(page, `${name}, phone`)));
  await shot("390-light");
  const over = await page.evaluate(() => document.scrollingElement.scrollWidth - window.innerWidth);
  if (over > 0) wrong.push(`${name}: scrolls sideways by ${over} px on a phone`);
  return wrong;
}

export function pages(browser, unit) {
  const people = [];
  const wrong = [];
  const someone = async () => {
    const person = await Person.at(browser, unit);
    people.push(person);
    return person;
  };
  let menu;
  const steps = [
    {
      name: "the log-in page, over http and https",
      work: async () => {
        const person = await someone();
        wrong.push(...(await look(person, "login")));
        await person.page.setViewportSize(wide);
        await person.page.goto(unit.https);
        await person.fill({ "User name": "loadbalancer" });
        await person.page.getByLabel("Password", { exact: true }).fill(PASSWORD);
        await person.press("Log in");
        await person.sees(person.page.getByRole("button", { name: "Log out" }));
        const links = person.page.getByRole("navigation", { name: "Menu" }).locator("li a");
        menu = await links.evaluateAll((all) => all.map((a) => a.getAttribute("href").replace("/lbadmin/", "")));
        if (menu.length < 30) throw new Error(`the menu has ${menu.length} entries only`);
        person.content();
      },
    },
    {
      name: "every page, wide and on a phone, light and dark",
      work: async () => {
        const waiting = [...menu, ...FORMS];
        // Two at a time: there are two processors.
        const worker = async () => {
          const person = await someone();
          await logIn(person, PASSWORD);
          for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
            wrong.push(...(await look(person, path)));
            wrong.push(...person.complaints.splice(0));
          }
        };
        await Promise.all([worker(), worker()]);
        if (wrong.length) throw new Error(`${wrong.length} findings:\n  ${wrong.join("\n  ")}`);
      },
    },
  ];
  return { steps, people };
}
