import { useData, useRoute } from "vitepress";
import DefaultTheme from "vitepress/theme";
import { h, nextTick, onMounted, watch } from "vue";
import "./style.css";

/** The command that installs the package, below the headline of the front page. */
function Install() {
  const { frontmatter } = useData();
  return h("pre", { class: "install" }, h("code", frontmatter.value.install));
}

export default {
  extends: DefaultTheme,
  Layout: () => h(DefaultTheme.Layout, null, { "home-hero-actions-after": () => h(Install) }),
  /** The front page of the theme has no main landmark, which other pages have. */
  setup() {
    const route = useRoute();
    const mark = () => document.querySelector("#VPContent.is-home")?.setAttribute("role", "main");
    onMounted(mark);
    watch(
      () => route.path,
      () => nextTick(mark),
    );
  },
};
