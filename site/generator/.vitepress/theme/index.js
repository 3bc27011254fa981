import { useRoute } from "vitepress";
import DefaultTheme from "vitepress/theme";
import { nextTick, onMounted, watch } from "vue";
import "./style.css";

export default {
  extends: DefaultTheme,
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
