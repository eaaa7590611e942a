# The formula of a tap: `python3 build.py release ADDRESS` fills in its placeholders and writes it to dist.
class Agentvm < Formula
  desc "Run coding agents in a persistent virtual machine for each project"
  homepage "@ADDRESS@"
  url "@ADDRESS@/agentvm-@VERSION@.tar.gz"
  sha256 "@SHA256@"
  license "MIT"

  depends_on "lima"
  depends_on "python@3.13"

  def install
    # It makes a virtual environment with the tools that constraints.txt pins; what is installed needs none of them.
    system Formula["python@3.13"].opt_bin/"python3.13", "build.py"
    bin.install "dist/agentvm.pyz" => "agentvm"
  end

  def caveats
    <<~EOS
      To have claude, codex and opencode run in VMs:
        agentvm install-shims
      Before you remove this formula, take away what agentvm made:
        agentvm uninstall
    EOS
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/agentvm --version")
    assert_match "there are no VMs yet", shell_output("AGENTVM_BACKEND=fake #{bin}/agentvm list 2>&1")
  end
end
